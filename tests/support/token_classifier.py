"""A token classification model of a few words, in the files that a Hugging Face model has. Nothing is
fetched: the graph and the tokeniser are written here."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Metaspace

from tests.support.classifier import SPECIAL, write_tokeniser

SURE = 5.0
"""The logit of what a word says; those of the other labels are 0."""

BIO: Mapping[str, str] = {
    "anna": "B-PER",
    "lee": "I-PER",
    "bob": "B-PER",
    "paris": "B-LOC",
    "mar": "B-PER",
    "##got": "I-PER",
    "##ous": "O",
    "met": "O",
    "in": "O",
    "the": "O",
    "@": "O",
    ".": "O",
    ",": "O",
    "com": "O",
    "example": "O",
}
"""Words, and the label that each says, whatever stands around it."""


def write_token_classifier(
    folder: Path,
    words: Mapping[str, str] = BIO,
    *,
    place: str = "model.onnx",
    blind: int = 0,
    sure: float = SURE,
    rename: Mapping[str, str] | None = None,
    spaced: bool = False,
    max_positions: int = 64,
    **config: Any,
) -> Path:
    """The files in `folder`, which is made. Labels are numbered in the order of `words`, under their names in
    `rename`; `O` is what unknown words say. The model sees nothing in the first and last `blind` tokens of a
    window, special ones not counted. `spaced`: the tokeniser counts the space before a word to it, and adds
    no special tokens. `config` are more keys of config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = list(dict.fromkeys(words.values()))
    names = [(rename or {}).get(label, label) for label in labels]
    document = {
        "model_type": "bert",
        "architectures": ["BertForTokenClassification"],
        "id2label": {str(index): name for index, name in enumerate(names)},
        "label2id": {name: index for index, name in enumerate(names)},
        "max_position_embeddings": max_positions,
        **config,
    }
    (folder / "config.json").write_text(json.dumps(document))
    if spaced:
        _write_spaced_tokeniser(folder, words)
    else:
        write_tokeniser(folder, tuple(words))
    table = np.zeros((len(SPECIAL) + len(words), len(labels)), np.float32)
    for row, label in enumerate(("O",) * len(SPECIAL) + tuple(words.values())):
        table[row, labels.index(label)] = sure
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_graph(table, blind, labels.index("O")).SerializeToString())
    return folder


def _write_spaced_tokeniser(folder: Path, words: Mapping[str, str]) -> None:
    vocabulary = {token: number for number, token in enumerate((*SPECIAL, *(f"▁{word}" for word in words)))}
    tokeniser = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokeniser.pre_tokenizer = Metaspace()
    tokeniser.add_special_tokens(list(SPECIAL))
    tokeniser.save(str(folder / "tokenizer.json"))
    document = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(document))


def _graph(table: np.ndarray[Any, np.dtype[np.float32]], blind: int, nothing: int) -> onnx.ModelProto:
    """A row of the table for each token; at the window's ends, and the special tokens that stand there, much
    is added to the label `nothing`."""
    veil = np.zeros((1, 1, table.shape[1]), np.float32)
    veil[0, 0, nothing] = 100.0
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("CumSum", ["mask", "axis"], ["before"]),
        helper.make_node("CumSum", ["mask", "axis"], ["after"], reverse=1),
        helper.make_node("Min", ["before", "after"], ["depth"]),
        helper.make_node("LessOrEqual", ["depth", "blind"], ["veiled"]),
        helper.make_node("Cast", ["veiled"], ["veiled.floats"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["veiled.floats", "last"], ["veiled.column"]),
        helper.make_node("Mul", ["veiled.column", "veil"], ["added"]),
        helper.make_node("Add", ["rows", "added"], ["logits"]),
    ]
    places = ["batch", "sequence"]
    graph = helper.make_graph(
        nodes,
        "tiny-token-classifier",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, places)
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [*places, table.shape[1]])],
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(veil, "veil"),
            numpy_helper.from_array(np.array(1, np.int64), "axis"),
            numpy_helper.from_array(np.array([-1], np.int64), "last"),
            numpy_helper.from_array(np.array(blind + 1 if blind else 0, np.float32), "blind"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)

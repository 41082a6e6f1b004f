"""A sequence classification model of a few words, in the files that a Hugging Face model has. Nothing is
fetched: the graph and the tokeniser are written here."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WEIGHTS: Mapping[str, tuple[float, ...]] = {
    "refund": (4.0, 0.0, 0.0),
    "crash": (0.0, 4.0, 0.0),
    "thanks": (0.0, 0.0, 4.0),
    "the": (0.0, 0.0, 0.0),
}
"""What each word adds to the logits of the labels; the logits are the sum over the tokens."""

LABELS = ("billing", "technical", "praise")
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def write_classifier(
    folder: Path,
    *,
    labels: Sequence[str] = LABELS,
    place: str = "model.onnx",
    inputs: Sequence[str] = INPUTS,
    integer: int = TensorProto.INT64,
    output: str = "logits",
    scale: float = 1.0,
    max_positions: int = 32,
    **config: Any,
) -> Path:
    """The files in `folder`, which is made. `place` is the graph's path in it, `config` more keys of
    config.json. The graph uses every one of `inputs`."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "model_type": "bert",
        "architectures": ["BertForSequenceClassification"],
        "id2label": {str(index): label for index, label in enumerate(labels)},
        "label2id": {label: index for index, label in enumerate(labels)},
        "max_position_embeddings": max_positions,
        **config,
    }
    (folder / "config.json").write_text(json.dumps(document))
    write_tokeniser(folder, tuple(WEIGHTS))
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_graph(inputs, integer, output, scale).SerializeToString())
    return folder


def write_tokeniser(folder: Path, words: Sequence[str]) -> None:
    """BERT's, with `words` after the special tokens; pieces of words begin with `##`."""
    vocabulary = {token: number for number, token in enumerate((*SPECIAL, *words))}
    tokeniser = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokeniser.normalizer = BertNormalizer(lowercase=True)
    tokeniser.pre_tokenizer = BertPreTokenizer()
    tokeniser.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    tokeniser.add_special_tokens(list(SPECIAL))
    tokeniser.save(str(folder / "tokenizer.json"))
    names = {f"{token[1:-1].lower()}_token": token for token in SPECIAL}
    document = {"tokenizer_class": "BertTokenizer", **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(document))


def _graph(inputs: Sequence[str], integer: int, output: str, scale: float) -> onnx.ModelProto:
    table = np.array([*[(0.0, 0.0, 0.0)] * len(SPECIAL), *WEIGHTS.values()], np.float32) * np.float32(scale)
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["words"])]
    words = "words"
    for name in inputs:
        if name == "attention_mask":
            nodes += [
                helper.make_node("Cast", [name], ["mask"], to=TensorProto.FLOAT),
                helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
                helper.make_node("Mul", [words, "column"], ["masked"]),
            ]
            words = "masked"
        elif name != "input_ids":
            nodes += [
                helper.make_node("Cast", [name], [f"{name}.floats"], to=TensorProto.FLOAT),
                helper.make_node("Unsqueeze", [f"{name}.floats", "last"], [f"{name}.column"]),
                helper.make_node("Add", [words, f"{name}.column"], [f"{name}.added"]),
            ]
            words = f"{name}.added"
    nodes.append(helper.make_node("ReduceSum", [words, "middle"], [output], keepdims=0))
    graph = helper.make_graph(
        nodes,
        "tiny-classifier",
        [helper.make_tensor_value_info(name, integer, ["batch", "sequence"]) for name in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", 3])],
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(np.array([-1], np.int64), "last"),
            numpy_helper.from_array(np.array([1], np.int64), "middle"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)

"""A Hugging Face model of the user's own: a folder with config.json, a tokeniser and an .onnx file.

Owns which file of the folder is run, how large a window is, what is fed to the graph, and the check that all
of it fits together before it is trusted. Never runs code from the folder. Knows nothing of what the logits
mean.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from router_extproc.base.errors import ModelError
from router_extproc.encoder.session import without_surrogates

Task = Literal["text classification", "token classification"]

FEEDS: Final[Mapping[str, Callable[[Encoding], Sequence[int]]]] = {
    "input_ids": lambda encoding: encoding.ids,
    "attention_mask": lambda encoding: encoding.attention_mask,
    "token_type_ids": lambda encoding: encoding.type_ids,
}
"""The inputs that exported models have, and what goes there."""

INTEGERS: Final = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A loaded model. Any thread may ask. `labels` are `id2label` in the order of the model's numbers;
    `multi_label`: several of them may hold of a text. A window has at most `max_tokens` tokens, special ones
    included, and the next one repeats `overlap` of its others. `digest` is of the folder's files."""

    folder: Path
    labels: tuple[str, ...]
    multi_label: bool
    max_tokens: int
    overlap: int
    digest: str
    _tokeniser: Tokenizer = field(repr=False)
    _session: onnxruntime.InferenceSession = field(repr=False)
    _output: str = field(repr=False)

    def windows(self, text: str) -> list[Encoding]:
        """All of `text`; the time is linear in its length. Offsets count its characters."""
        encoding = self._tokeniser.encode(without_surrogates(text))
        return [encoding, *encoding.overflowing]

    def logits(self, window: Encoding) -> NDArray[np.float64]:
        """One run: what the graph gives for this window alone, never padded, without the batch's axis."""
        feeds = {
            each.name: np.array([FEEDS[each.name](window)], dtype=INTEGERS[each.type])
            for each in self._session.get_inputs()
        }
        logits: NDArray[np.float64] = self._session.run([self._output], feeds)[0][0].astype(np.float64)
        return logits


def open_folder(folder: Path, task: Task, max_tokens: int, threads: int) -> ModelFolder:
    """The model in `folder`, exported for `task`; `max_tokens` is less where the model has less, `threads`
    are onnxruntime's. Takes up to seconds. Raises ModelError naming the folder, what is wrong and the cure;
    `check` tells whether it runs."""
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder}: there is no config.json; name a folder with the files of a Hugging Face model"
        )
    config, tokeniser = _load_description(folder)
    labels = _labels(folder, config)
    session, model = _load_session(folder, task, threads)
    window = _window(max_tokens, config, tokeniser)
    windowed, overlap = _windowed(folder, tokeniser, window)
    return ModelFolder(
        folder=folder,
        labels=labels,
        multi_label=config.problem_type == "multi_label_classification",
        max_tokens=window,
        overlap=overlap,
        digest=_digest(folder, model),
        _tokeniser=windowed,
        _session=session,
        _output=_output(folder, task, session),
    )


def check(model: ModelFolder, shape_of: Callable[[Encoding], tuple[int, ...]], *texts: str) -> None:
    """Run `texts`, and one that is longer than a window: each gives finite logits of the shape that
    `shape_of` has for it. Raises ModelError."""
    for text in (*texts, "test " * 2 * model.max_tokens):
        try:
            given = [(model.logits(window), shape_of(window)) for window in model.windows(text)]
        except Exception as error:
            raise ModelError(
                f"{model.folder}: the self-test cannot run ({type(error).__name__}) with windows of "
                f"{model.max_tokens} tokens; lower max_tokens, or export again with dynamic axes"
            ) from error
        _check_logits(model, given)


def _check_logits(model: ModelFolder, given: Iterable[tuple[NDArray[np.float64], tuple[int, ...]]]) -> None:
    for logits, expected in given:
        if logits.shape != expected:
            raise ModelError(
                f"{model.folder}: the model gives logits of shape {logits.shape}, but config.json has "
                f"{len(model.labels)} labels, for which it is {expected}; export the model and its "
                "configuration together"
            )
        if not np.isfinite(logits).all():
            raise ModelError(
                f"{model.folder}: the self-test got a logit that is not finite; export the model again"
            )


def _load_description(folder: Path) -> tuple[Any, Any]:
    """config.json and the tokeniser, as the model's authors meant them. Code in the folder is never run."""
    from transformers import AutoConfig, AutoTokenizer

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        tokeniser = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ModelError(
            f"{folder}: config.json or the tokeniser cannot be loaded ({reason}); export the model again "
            "with its tokeniser"
        ) from None
    if not getattr(tokeniser, "is_fast", False):
        raise ModelError(f"{folder}: the tokeniser has no fast form; save it with a tokenizer.json")
    # Without files, transformers makes up a tokeniser that knows no word.
    if len(tokeniser) <= len(tokeniser.all_special_tokens):
        raise ModelError(f"{folder}: the tokeniser has no vocabulary; add the model's tokenizer.json")
    return config, tokeniser


def _labels(folder: Path, config: Any) -> tuple[str, ...]:
    if config.problem_type == "regression":
        raise ModelError(f"{folder}: a regression model gives no probabilities; name a classification model")
    numbered: Mapping[int, str] = config.id2label or {}
    labels = tuple(str(numbered[index]) for index in sorted(numbered))
    if len(labels) < 2 or len(set(labels)) != len(labels) or sorted(numbered) != list(range(len(labels))):
        raise ModelError(
            f"{folder}: id2label in config.json does not number two or more different labels from 0; write "
            "them there"
        )
    return labels


def _window(wanted: int, config: Any, tokeniser: Any) -> int:
    """Tokens in one window: what was asked for, or what the model can take."""
    limits = (wanted, tokeniser.model_max_length, getattr(config, "max_position_embeddings", None))
    # 0 or less: positions that are relative have no bound.
    return int(min(limit for limit in limits if limit is not None and limit > 0))


def _windowed(folder: Path, tokeniser: Any, window: int) -> tuple[Tokenizer, int]:
    """A copy that cuts into windows of which each repeats a quarter of the one before, and how many tokens
    that are: what stands across a border is whole in one of them."""
    fast: Tokenizer = Tokenizer.from_str(tokeniser.backend_tokenizer.to_str())
    special = fast.num_special_tokens_to_add(is_pair=False)
    if window <= special + 1:
        raise ModelError(f"{folder}: a window of {window} tokens has no room for text; raise max_tokens")
    fast.no_padding()
    overlap = (window - special) // 4
    fast.enable_truncation(window, stride=overlap)
    # A special token that a user spells out is text like any other.
    fast.encode_special_tokens = True
    return fast, overlap


def _load_session(folder: Path, task: Task, threads: int) -> tuple[onnxruntime.InferenceSession, Path]:
    model = _model_file(folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # patterns are kept per input shape, and every length is one
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(
            f"{model}: onnxruntime cannot load it ({type(error).__name__}); export it again with an opset "
            f"that onnxruntime {onnxruntime.__version__} knows"
        ) from error
    for each in session.get_inputs():
        if each.name not in FEEDS or each.type not in INTEGERS:
            raise ModelError(
                f"{model}: the input {each.name} of type {each.type} is none of {', '.join(FEEDS)} of "
                f"integers; export the model for {task}"
            )
    return session, model


def _model_file(folder: Path) -> Path:
    """`model.onnx` in the folder or in `onnx/`, else the only one there is."""
    for place in (folder, folder / "onnx"):
        found = sorted(place.glob("*.onnx"))
        named = [path for path in found if path.name == "model.onnx"]
        if named or len(found) == 1:
            return (named or found)[0]
        if found:
            names = ", ".join(path.name for path in found)
            raise ModelError(f"{place}: which of {names} is meant? Name it model.onnx")
    raise ModelError(f"{folder}: there is no .onnx file in it or in onnx/; export the model to ONNX first")


def _output(folder: Path, task: Task, session: onnxruntime.InferenceSession) -> str:
    names = [each.name for each in session.get_outputs()]
    if "logits" in names or len(names) == 1:
        return "logits" if "logits" in names else names[0]
    raise ModelError(
        f"{folder}: none of the outputs {', '.join(names)} is called logits; export the model for {task}"
    )


def _digest(folder: Path, model: Path) -> str:
    """Of the model and of what says how it is asked. Weights beside the graph count too."""
    paths = [
        folder / name for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt")
    ]
    total = hashlib.sha256()
    for path in (*paths, *sorted(model.parent.glob(f"{model.stem}*"))):
        if path.is_file():
            with path.open("rb") as file:
                total.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()

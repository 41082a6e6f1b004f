"""A sequence classification model of the user's own: a folder with config.json, a tokeniser and an .onnx
file.

Owns which file of the folder is run, how a long text is cut into windows, how logits become probabilities,
and the check that all of it fits together before it is trusted. Never runs code from the folder. Knows
nothing of what the labels lead to.

Windows are run one at a time and never padded: the result for a text must not depend on what else is run.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from router_extproc.base.errors import ModelError

MAX_WINDOWS: Final = 8
"""A text is read up to the end of this many windows: what a request costs has a bound."""

CHARACTERS_PER_TOKEN: Final = 20

Combine = Literal["max", "mean"]

FEEDS: Final[Mapping[str, Callable[[Encoding], Sequence[int]]]] = {
    "input_ids": lambda encoding: encoding.ids,
    "attention_mask": lambda encoding: encoding.attention_mask,
    "token_type_ids": lambda encoding: encoding.type_ids,
}
"""The inputs that exported models have, and what goes there."""

INTEGERS: Final = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


@dataclass(frozen=True, slots=True)
class ClassifierOptions:
    """`max_tokens` is a window's size, special tokens included; less where the model has less. `combine`: a
    long text's probability of a label is the highest over its windows or their mean, by default the highest
    for models of which several labels may hold, and the mean for others. `threads` are onnxruntime's."""

    max_tokens: int = 256
    combine: Combine | None = None
    threads: int = 1


@dataclass(frozen=True, slots=True)
class SequenceClassifier:
    """A loaded model. Any thread may ask; a question costs up to MAX_WINDOWS runs. With `multi_label`,
    several labels may hold of a text, and the probabilities do not sum to 1. `digest` is of the folder's
    files."""

    folder: Path
    labels: tuple[str, ...]
    multi_label: bool
    combine: Combine
    digest: str
    max_tokens: int
    _tokeniser: Tokenizer = field(repr=False)
    _session: onnxruntime.InferenceSession = field(repr=False)
    _output: str = field(repr=False)

    def probabilities(self, text: str) -> Mapping[str, float]:
        """Label to probability, in the order of the model's own numbering; each in [0, 1]."""
        table = self._scaled(np.stack([self._logits(window) for window in self._windows(text)]))
        row = table.max(axis=0) if self.combine == "max" else table.mean(axis=0)
        if not self.multi_label:
            row = row / row.sum()
        return dict(zip(self.labels, row.tolist(), strict=True))

    def as_bytes(self) -> bytes:
        """Everything that decides what the head says."""
        return f"{self.digest} {self.max_tokens} {self.combine}".encode()

    def _windows(self, text: str) -> list[Encoding]:
        cut = text[: self.max_tokens * MAX_WINDOWS * CHARACTERS_PER_TOKEN]
        # Half of a surrogate pair is no character, and the tokeniser refuses it.
        encoding = self._tokeniser.encode(cut.encode("utf-8", "replace").decode("utf-8"))
        return [encoding, *encoding.overflowing][:MAX_WINDOWS]

    def _logits(self, window: Encoding) -> NDArray[np.float64]:
        feeds = {
            each.name: np.array([FEEDS[each.name](window)], dtype=INTEGERS[each.type])
            for each in self._session.get_inputs()
        }
        logits: NDArray[np.float64] = self._session.run([self._output], feeds)[0][0].astype(np.float64)
        return logits

    def _scaled(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """(windows, labels) to probabilities. tanh is the sigmoid that cannot overflow."""
        if self.multi_label:
            sigmoid: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * logits))
            return sigmoid
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        softmax: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
        return softmax


def open_classifier(folder: Path, options: ClassifierOptions) -> SequenceClassifier:
    """Load and test the model in `folder`. Takes up to seconds. Raises ModelError naming the folder, what is
    wrong and the cure."""
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder}: there is no config.json; name a folder with the files of a Hugging Face model"
        )
    config, tokeniser = _load_description(folder)
    labels = _labels(folder, config)
    multi_label = config.problem_type == "multi_label_classification"
    session, model = _load_session(folder, options.threads)
    window = _window(options.max_tokens, config, tokeniser)
    classifier = SequenceClassifier(
        folder=folder,
        labels=labels,
        multi_label=multi_label,
        combine=options.combine or ("max" if multi_label else "mean"),
        digest=_digest(folder, model),
        max_tokens=window,
        _tokeniser=_windowed(folder, tokeniser, window),
        _session=session,
        _output=_output(folder, session),
    )
    _self_test(classifier)
    return classifier


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


def _windowed(folder: Path, tokeniser: Any, window: int) -> Tokenizer:
    """A copy that cuts into windows of which each repeats a quarter of the one before: what stands across a
    border is whole in one of them."""
    fast: Tokenizer = Tokenizer.from_str(tokeniser.backend_tokenizer.to_str())
    special = fast.num_special_tokens_to_add(is_pair=False)
    if window <= special + 1:
        raise ModelError(f"{folder}: a window of {window} tokens has no room for text; raise max_tokens")
    fast.no_padding()
    fast.enable_truncation(window, stride=(window - special) // 4)
    # A special token that a user spells out is text like any other.
    fast.encode_special_tokens = True
    return fast


def _load_session(folder: Path, threads: int) -> tuple[onnxruntime.InferenceSession, Path]:
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
                "integers; export the model for text classification"
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


def _output(folder: Path, session: onnxruntime.InferenceSession) -> str:
    names = [each.name for each in session.get_outputs()]
    if "logits" in names or len(names) == 1:
        return "logits" if "logits" in names else names[0]
    raise ModelError(
        f"{folder}: none of the outputs {', '.join(names)} is called logits; export the model for text "
        "classification"
    )


def _self_test(classifier: SequenceClassifier) -> None:
    """A word, nothing, and more than a window: each gives one finite logit per label."""
    for text in ("test", "", "test " * 2 * classifier.max_tokens):
        try:
            logits = [classifier._logits(window) for window in classifier._windows(text)]
        except Exception as error:
            raise ModelError(
                f"{classifier.folder}: the self-test cannot run ({type(error).__name__}) with windows of "
                f"{classifier.max_tokens} tokens; lower max_tokens, or export again with dynamic axes"
            ) from error
        shape = logits[0].shape
        if shape != (len(classifier.labels),):
            raise ModelError(
                f"{classifier.folder}: the model gives logits of shape {shape}, but config.json has "
                f"{len(classifier.labels)} labels; export the model and its configuration together"
            )
        if not all(np.isfinite(each).all() for each in logits):
            raise ModelError(
                f"{classifier.folder}: the self-test got a logit that is not finite; export the model again"
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

"""The running encoder: a text becomes a unit vector.

Owns the onnxruntime session, the tokeniser and the check that both are sane before they are trusted.
Knows nothing of queues, tasks or heads. Every method may be called from any thread.

Texts are run one at a time, never padded into a batch. Activations are quantised with one scale per run,
so in a batch of 8 a vector would depend on its neighbours (cosine 0.993 to the vector it has alone). That
gives up little: on one thread, 8 texts of equal length in a batch take 0.6 of the time of 8 runs at 8
tokens, 0.7 at 16 and 0.8 at 32, and padding of unequal lengths eats most of it.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from router_extproc.base.errors import ModelError
from router_extproc.base.vector import Vector
from router_extproc.encoder.bundle import REBUILD, Bundle
from router_extproc.encoder.graph import ATTENTION_MASK, FEATURES, INPUT_IDS, SENTENCE, TAGS
from router_extproc.encoder.words import WORD_WEIGHTS, load_words

CHARACTERS_PER_TOKEN = 20
"""A text is cut to this many characters per token of the window before it is tokenised, so that a prompt
of a megabyte costs as little as one that fills the window. English has about 4.5."""

OVERLAP = 64
"""Tokens that two windows of a long text share: an attack or a name on their border is whole in one of
them."""

TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Options:
    """`max_tokens` is the window, special tokens included; `threads` are onnxruntime's."""

    threads: int = 1
    max_tokens: int = 256


@dataclass(frozen=True, slots=True)
class Tokens:
    """A tokenised window of a text. `truncated`: the text went on. `offsets` are the characters of each token
    in the text, end excluded, (0, 0) for special tokens; empty where nobody asked."""

    ids: tuple[int, ...] = field(repr=False)
    truncated: bool
    offsets: tuple[tuple[int, int], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one pass says of a window. `states`, (width,), holds the sentence vector, then the features that
    heads read, then what the words say; `tags`, (tokens, tags), are logits."""

    states: Vector = field(repr=False)
    tags: NDArray[np.float32] = field(repr=False)
    dimension: int

    @property
    def vector(self) -> Vector:
        return self.states[: self.dimension]


class SentenceEncoder:
    """A loaded bundle. `encoder` names the vectors' identity: the bundle's, and the window's size."""

    def __init__(self, bundle: Bundle, options: Options) -> None:
        """Load without testing; raises ModelError. Prefer `open_encoder`."""
        if not 2 < options.max_tokens <= bundle.max_positions:
            raise ModelError(
                f"encoder.max_tokens: {options.max_tokens} is not in 3..{bundle.max_positions}, "
                f"the window of {bundle.encoder}"
            )
        self.encoder = f"{bundle.encoder}-{options.max_tokens}"
        self.base_revision = bundle.base_revision
        self.dimension = bundle.dimension
        self.words = load_words(WORD_WEIGHTS, bundle.base_revision)
        self.max_tokens = options.max_tokens
        self._max_characters = options.max_tokens * CHARACTERS_PER_TOKEN
        self._tokeniser = load_tokeniser(bundle)
        self._tokeniser.enable_truncation(options.max_tokens, stride=min(OVERLAP, options.max_tokens // 4))
        self._session = load_session(bundle.model, options.threads)

    def tokenise(self, text: str) -> Tokens:
        """At most `max_tokens` ids. The cost is bounded whatever the length of `text`."""
        cut = text[: self._max_characters]
        encoding = self._tokeniser.encode(without_surrogates(cut))
        truncated = len(cut) < len(text) or len(encoding.overflowing) > 0
        return Tokens(ids=tuple(encoding.ids), truncated=truncated)

    def windows(self, text: str) -> list[Tokens]:
        """All of `text` in windows that overlap, the first as `tokenise` has it, with offsets. The cost is
        linear in the length of `text`: bound it."""
        encoding = self._tokeniser.encode(without_surrogates(text))
        parts = [encoding, *encoding.overflowing]
        return [
            Tokens(tuple(part.ids), place + 1 < len(parts), tuple(part.offsets))
            for place, part in enumerate(parts)
        ]

    def run(self, tokens: Tokens) -> Reading:
        """One pass over a window; the sentence vector has unit length. Equal tokens give equal readings.

        An exception of onnxruntime's passes through: after the self-test it means lost memory or a bug.
        """
        vector, features, tags = self._session.run([SENTENCE, FEATURES, TAGS], _given(tokens))
        states = np.concatenate([vector[0], features[0], self.words.evidence(tokens.ids)])
        return Reading(states, tags[0], self.dimension)

    def encode(self, text: str) -> Vector:
        """The sentence vector, shape (dimension,), unit length: that of `run`."""
        vector: Vector = self._session.run([SENTENCE], _given(self.tokenise(text)))[0][0]
        return vector

    def states_many(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """What heads read of each text, shape (n, width). For fitting: it blocks."""
        return np.array([self.run(self.tokenise(text)).states for text in texts], dtype=np.float32)

    def encode_many(
        self, texts: Iterable[str], progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """Vectors of `texts` in order, shape (n, dimension): the same as `encode` of each.

        `progress` receives the number done after every hundred. For evaluation: it blocks.
        """
        vectors: list[Vector] = []
        for text in texts:
            vectors.append(self.encode(text))
            if progress is not None and len(vectors) % 100 == 0:
                progress(len(vectors))
        return np.array(vectors, dtype=np.float32).reshape(-1, self.dimension)


def _given(tokens: Tokens) -> dict[str, NDArray[np.int64]]:
    ids = np.array([tokens.ids], dtype=np.int64)
    return {INPUT_IDS: ids, ATTENTION_MASK: np.ones_like(ids)}


def open_encoder(bundle: Bundle, options: Options) -> SentenceEncoder:
    """Load `bundle` and test it. Raises ModelError when its vectors cannot be trusted."""
    encoder = SentenceEncoder(bundle, options)
    try:
        check_vectors(encoder.encode, encoder.dimension)
    except ModelError as error:
        raise ModelError(f"{bundle.folder}: {error}; {REBUILD}") from None
    return encoder


QUESTION = "How can I lose weight quickly?"
PARAPHRASE = "What is a fast way to slim down?"
LOOKALIKE = "How can I lose my accent quickly?"
UNRELATED = "The committee published its annual report on fisheries."
"""`LOOKALIKE` shares more words with `QUESTION` than `PARAPHRASE` does: a graph that only averages word
vectors, because its layers do nothing, takes it for the nearer one."""


def check_vectors(encode: Callable[[str], Vector], dimension: int) -> None:
    """Refuse an encoder whose answers are impossible or meaningless. Raises ModelError saying why."""
    vectors: dict[str, Vector] = {}
    for text in (QUESTION, PARAPHRASE, LOOKALIKE, UNRELATED):
        try:
            vector = np.asarray(encode(text))
        except Exception as error:
            raise ModelError(f"the self-test cannot run ({type(error).__name__})") from error
        _check_vector(vector, dimension)
        vectors[text] = vector
    question = vectors[QUESTION]
    if float(question @ vectors[UNRELATED]) > 1 - TOLERANCE:
        raise ModelError("the self-test got the same vector for different sentences")
    if not question @ vectors[PARAPHRASE] > max(question @ vectors[LOOKALIKE], question @ vectors[UNRELATED]):
        raise ModelError("the self-test found a paraphrase no closer than an unrelated sentence")


def _check_vector(vector: Vector, dimension: int) -> None:
    if vector.shape != (dimension,):
        raise ModelError(f"the self-test got a vector of shape {vector.shape}, expected ({dimension},)")
    if not np.isfinite(vector).all():
        raise ModelError("the self-test got a vector with a value that is not finite")
    length = float(np.linalg.norm(vector))
    if abs(length - 1) > TOLERANCE:
        raise ModelError(f"the self-test got a vector of length {length:.3f}, expected 1")


def without_surrogates(text: str) -> str:
    """JSON may carry half of a surrogate pair, which is no character and which the tokeniser refuses."""
    return text.encode("utf-8", "replace").decode("utf-8")


def load_tokeniser(bundle: Bundle) -> Tokenizer:
    """The fast tokeniser beneath transformers' own, one of the caller's own that neither pads nor truncates.
    Reading it through transformers applies the bundle's files as the model's authors meant them; the wrapper
    itself is not needed on the hot path."""
    silence = logging.getLogger("transformers")
    silence.addFilter(_no_advice)
    try:
        from transformers import AutoConfig, AutoTokenizer

        config = AutoConfig.from_pretrained(bundle.folder, local_files_only=True)
        tokeniser = AutoTokenizer.from_pretrained(bundle.folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{bundle.folder}: the tokeniser cannot be loaded ({error}); {REBUILD}") from None
    finally:
        silence.removeFilter(_no_advice)
    if config.hidden_size != bundle.dimension:
        raise ModelError(f"{bundle.folder}: config.json is of another model; {REBUILD}")
    # A copy, because truncation and the rest are set on it. A special token that a user spells out
    # ("[SEP]") is text like any other: it must not act as the end of the sentence.
    fast: Tokenizer = Tokenizer.from_str(tokeniser.backend_tokenizer.to_str())
    fast.no_padding()
    fast.no_truncation()
    fast.encode_special_tokens = True
    return fast


def _no_advice(record: logging.LogRecord) -> bool:
    """transformers advises to install PyTorch when it is imported; here that is on purpose absent."""
    return not str(record.msg).startswith("PyTorch was not found")


def load_session(model: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # patterns are kept per input shape, and every length is one
    options.log_severity_level = 3
    # Spinning threads would burn the quota that the proxy on the same cores needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(
            f"{model}: onnxruntime cannot load it ({type(error).__name__}); {REBUILD}"
        ) from error

"""The running verifier: two texts become the probability that they ask the same.

A cross-encoder (Nogueira and Cho 2019): both texts go through the layers as one sequence, so that every word
of one is seen beside every word of the other, which two sentence vectors cannot do. It costs a pass for
each pair and is therefore asked about candidates only. Knows nothing of queues, or of what follows from a
probability. Every method may be called from any thread.
"""

from collections.abc import Callable
from math import isfinite

import numpy as np

from router_extproc.base.errors import ModelError
from router_extproc.encoder.bundle import REBUILD, Bundle
from router_extproc.encoder.graph import ATTENTION_MASK, INPUT_IDS, SAME
from router_extproc.encoder.session import (
    CHARACTERS_PER_TOKEN,
    LOOKALIKE,
    PARAPHRASE,
    QUESTION,
    UNRELATED,
    load_session,
    load_tokeniser,
    without_surrogates,
)

MAX_TOKENS = 256
"""Of both texts together, special tokens included. It was fitted on pairs of up to 243."""


class CrossEncoder:
    """A loaded verifier. Prefer `open_verifier`, which tests it."""

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        """`threads` are onnxruntime's. Raises ModelError."""
        self._tokeniser = load_tokeniser(bundle)
        self._session = load_session(bundle.verifier_model, threads)

    def same(self, text: str, other: str) -> float | None:
        """The probability, in [0, 1], that an answer to `other` serves `text`; None when the two are too
        long to be seen whole. Equal arguments give equal results.

        The cost is bounded whatever the length of the texts. An exception of onnxruntime's passes through.
        """
        ids = self.tokens(text, other)
        if ids is None:
            return None
        row = np.array([ids], dtype=np.int64)
        outputs = self._session.run([SAME], {INPUT_IDS: row, ATTENTION_MASK: np.ones_like(row)})
        return float(outputs[0][0, 0])

    def tokens(self, text: str, other: str) -> list[int] | None:
        """[CLS] text [SEP] other [SEP], or None for more than `MAX_TOKENS`."""
        if len(text) + len(other) > MAX_TOKENS * CHARACTERS_PER_TOKEN:
            return None
        ids: list[int] = self._tokeniser.encode(without_surrogates(text), without_surrogates(other)).ids
        return ids if len(ids) <= MAX_TOKENS else None


def open_verifier(bundle: Bundle, threads: int = 1) -> CrossEncoder:
    """Load the verifier of `bundle` and test it. Raises ModelError when it cannot be trusted."""
    verifier = CrossEncoder(bundle, threads)
    try:
        check_verifier(verifier.same)
    except ModelError as error:
        raise ModelError(f"{bundle.folder}: {error}; {REBUILD}") from None
    return verifier


def check_verifier(same: Callable[[str, str], float | None]) -> None:
    """Refuse a verifier whose answers are impossible or meaningless. Raises ModelError saying why."""
    found: dict[str, float] = {}
    for text in (PARAPHRASE, LOOKALIKE, UNRELATED):
        try:
            probability = same(QUESTION, text)
        except Exception as error:
            raise ModelError(f"the verifier's self-test cannot run ({type(error).__name__})") from error
        if probability is None or not isfinite(probability) or not 0 <= probability <= 1:
            raise ModelError(f"the verifier's self-test got {probability}, which is not a probability")
        found[text] = probability
    if not found[PARAPHRASE] > 0.5 > max(found[LOOKALIKE], found[UNRELATED]):
        raise ModelError("the verifier's self-test took a lookalike for a paraphrase")

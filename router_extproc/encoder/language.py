"""The language of a text, by py3langid (Lui and Baldwin's langid.py with newer models).

Owns which part of a text is looked at and which languages count. Needs no vector: the sentence encoder knows
English only. Chosen among six libraries for prompts of a few words: `docs/HEADS.md` has the comparison.
"""

from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import version

from py3langid.langid import MODEL_FILE, LanguageIdentifier

MAX_CHARACTERS = 500
"""A text is cut to this many characters: more does not change the answer, and each byte costs a look-up."""


class LanguageHead:
    """Reads nothing that changes, so that any thread may ask. The model (4 MB packed, about 100 MB in
    memory) is read at the first question or by `load`."""

    def load(self) -> "LanguageHead":
        """Read the model now; takes a second."""
        self._identifier  # noqa: B018 - a cached property
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The ISO 639-1 codes of all the languages that are known."""
        return tuple(self._identifier.labels)

    def probabilities(self, text: str) -> Mapping[str, float]:
        """ISO 639-1 code to probability, the likeliest first; in [0, 1], summing to 1. A text without a word,
        such as a number, gets the same for each language."""
        ranked: list[tuple[str, float]] = self._identifier.rank(_letters(text))
        total = sum(share for _, share in ranked)
        return {code: share / total for code, share in ranked}

    def as_bytes(self) -> bytes:
        """Everything that decides what the head says."""
        return f"py3langid {version('py3langid')} {MAX_CHARACTERS}".encode()

    @cached_property
    def _identifier(self) -> LanguageIdentifier:
        identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        identifier.set_languages([code for code in identifier.labels if len(code) == 2])
        return identifier


def _letters(text: str) -> str:
    """The beginning of `text` in one line, without half surrogate pairs, which are no characters."""
    cut = text[:MAX_CHARACTERS]
    return " ".join(cut.encode("utf-8", "ignore").decode("utf-8").split())

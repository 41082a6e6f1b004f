"""Words: what the words and pairs of neighbours of a window say of its domain by themselves.

The encoder's layers were fitted on few thousands of questions and half remember them; a linear model of words
errs elsewhere, so that the domain's head reads both. Owns the weights' file format, its validation and the
sum. A table of a fixed number of rows is addressed by a hash of
what it counts (Weinberger et al. 2009): a row may serve two words, and no word is unknown.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from router_extproc.base.errors import ModelError

WORD_WEIGHTS = Path(__file__).parent / "weights" / "words.safetensors"
"""The shipped table. `training/README.md` says how it was fitted."""

WIDTH: Final = 14
"""The classes that the table speaks of: MMLU-Pro's categories, in the order of the domain head's labels."""

_WORD, _PAIR, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(29)
"""Odd constants whose products spread over 64 bits (Knuth's multiplicative hashing)."""


@dataclass(frozen=True, slots=True)
class Words:
    """`weight`, (rows, WIDTH) float16, and `rarity`, (rows,) float16, what a word or pair counts; `rows` is a
    power of two. A row that nothing was fitted for is zero in both. `base_revision` names the encoder whose
    tokens are counted."""

    weight: NDArray[np.float16] = field(repr=False)
    rarity: NDArray[np.float16] = field(repr=False)
    base_revision: str

    def evidence(self, ids: tuple[int, ...]) -> NDArray[np.float32]:
        """Of the token ids of a window, special ones at both ends included, one number for each class,
        (WIDTH,): the cosine-normalised sum, zero where no word is known."""
        found = rows(ids, len(self.rarity))
        rarity = self.rarity[found].astype(np.float32)
        length = float(np.sqrt(rarity @ rarity))
        if not length:
            return np.zeros(WIDTH, np.float32)
        summed: NDArray[np.float32] = self.weight[found].astype(np.float32).T @ rarity
        return summed / np.float32(length)

    def as_bytes(self) -> bytes:
        """Equal tables have equal bytes."""
        return self.weight.tobytes() + self.rarity.tobytes()


def rows(ids: tuple[int, ...], count: int) -> NDArray[np.int64]:
    """The rows of a table of `count` that the tokens between the special ones and their pairs have, each
    once, ascending."""
    tokens = np.array(ids[1:-1], dtype=np.uint64)
    mixed = np.concatenate(((tokens + 1) * _WORD, ((tokens[:-1] + 1) * _WORD ^ tokens[1:]) * _PAIR))
    return np.unique((mixed >> _SHIFT) & np.uint64(count - 1)).astype(np.int64)


def save_words(words: Words, path: Path) -> None:
    """Write `words` in the form `load_words` reads; equal tables give equal bytes."""
    metadata = {"words": json.dumps({"base_revision": words.base_revision})}
    tensors = {
        "weight": np.ascontiguousarray(words.weight),
        "rarity": np.ascontiguousarray(words.rarity),
    }
    path.write_bytes(safetensors.numpy.save(tensors, metadata=metadata))


def load_words(path: Path, base_revision: str) -> Words:
    """The table in `path`, if it counts this encoder's tokens. Raises ModelError naming the file and what is
    wrong."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            facts = json.loads((file.metadata() or {})["words"])
            words = Words(file.get_tensor("weight"), file.get_tensor("rarity"), str(facts["base_revision"]))
    except (OSError, safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: not a table of words ({error}); install the package again") from None
    if problem := _problem(words, base_revision):
        raise ModelError(f"{path}: {problem}; fit it again with `python -m training.words`")
    return words


def _problem(words: Words, base_revision: str) -> str:
    """What is wrong with `words`, or an empty string."""
    count = len(words.rarity)
    if count < 2 or count & (count - 1) or words.rarity.shape != (count,):
        return f"{count} rows are no power of two"
    if words.weight.shape != (count, WIDTH):
        return f"the shape {words.weight.shape} is not ({count}, {WIDTH})"
    if words.weight.dtype != np.float16 or words.rarity.dtype != np.float16:
        return "the numbers are not float16"
    if not (np.isfinite(words.weight).all() and np.isfinite(words.rarity).all()):
        return "a number is not finite"
    if words.base_revision != base_revision:
        return f"fitted on encoder revision {words.base_revision}, but the bundle has {base_revision}"
    return ""

"""The labelled pairs of questions that the verifier is fitted on. Owns which rows of which set count as what.

The data itself is not part of the project. `README.md` in this folder says where each set comes from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec
import numpy as np

from router_extproc.encoder.session import SentenceEncoder
from training.leakage import Held, texts_of
from training.sources import read_rows

QUORA = "pairs_qqp.jsonl"
STS = ("sts_benchmark_train.jsonl", "sts_benchmark_dev.jsonl")
OUR_PAIRS = Path(__file__).parent / "own" / "pairs.jsonl"
MEASURED = Path(__file__).parents[1] / "bench" / "data" / "hard_pairs.jsonl"
NAMES = "Quora Question Pairs, STS benchmark, pairs of our own"

SAME_FROM = 4.4
DIFFERENT = (1.5, 3.4)
"""Scores of the STS benchmark, 0 to 5, that count as the same and as different. What is between is left out:
its people were not sure either. Below are sentences that no lookup would propose."""

NEAR = 0.55
"""The verifier judges what the lookup proposes: pairs less similar than this are not fitted on."""

HELD_OUT = 4_000


@dataclass(frozen=True, slots=True)
class Pair:
    a: str
    b: str
    same: bool


@dataclass(frozen=True, slots=True)
class Split:
    """`held_out` are Quora's, of any similarity; on them probabilities are calibrated and thresholds looked
    at."""

    fitting: tuple[Pair, ...]
    held_out: tuple[Pair, ...]
    similarities: dict[Pair, float]


def split(folder: Path, encoder: SentenceEncoder, random: Random) -> Split:
    """Read the sets in `folder`, hold some of Quora's out, and keep what is near. Raises OperatorError."""
    quora = [_pair(row, bool(row["same"])) for row in read_rows(folder / QUORA)]
    random.shuffle(quora)
    held_out, rest = quora[:HELD_OUT], quora[HELD_OUT:]
    for name in STS:
        rest += [pair for row in read_rows(folder / name) if (pair := _scored(row)) is not None]
    similarities = _similarities(encoder, [*held_out, *rest])
    near = tuple(pair for pair in rest if similarities[pair] >= NEAR)
    return Split(near, tuple(held_out), similarities)


def our_pairs() -> list[Pair]:
    """The project's own pairs, without those near a pair that is measured."""
    held = Held(texts_of(MEASURED))
    return [pair for pair in own_pairs(OUR_PAIRS) if not (held.is_near(pair.a) or held.is_near(pair.b))]


def own_pairs(path: Path) -> list[Pair]:
    """Pairs of an operator's own, as `cache calibrate` reads them: `{"a", "b", "same"}`."""
    return [_pair(row, bool(row["same"])) for row in read_rows(path)]


def _pair(row: dict[str, object], same: bool) -> Pair:
    return Pair(str(row["a"]), str(row["b"]), same)


def _scored(row: dict[str, object]) -> Pair | None:
    score = msgspec.convert(row["score"], float, strict=False)
    if score >= SAME_FROM:
        return _pair(row, True)
    return _pair(row, False) if DIFFERENT[0] <= score <= DIFFERENT[1] else None


def _similarities(encoder: SentenceEncoder, pairs: Sequence[Pair]) -> dict[Pair, float]:
    texts = sorted({text for pair in pairs for text in (pair.a, pair.b)})
    print(f"encoding {len(texts)} texts")
    vectors = dict(zip(texts, encoder.encode_many(texts), strict=True))
    return {pair: float(np.dot(vectors[pair.a], vectors[pair.b])) for pair in pairs}

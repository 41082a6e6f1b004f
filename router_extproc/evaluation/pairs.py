"""Is b answered from a cache that holds a? What thresholds and the guard make of labelled pairs.

A pair is a cache of one entry: a hit when a's answer is given to b, and a false hit when that answer does
not serve b.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from router_extproc.caching.entry import Candidate
from router_extproc.caching.guard import Difference
from router_extproc.evaluation.curve import THRESHOLDS, CacheReport, measure, ratio
from router_extproc.evaluation.judge import Judge, Question, Verdict

ANSWER = "a"
"""What the cache's one entry says."""


@dataclass(frozen=True, slots=True)
class Pair:
    """`same`: an answer to `a` serves `b`. `kind` groups pairs in the report."""

    a: Question
    b: Question
    same: bool
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class KindScore:
    """Hits of the shipped configuration among the pairs of one kind. `recall` is None without same pairs."""

    n: int
    same: int
    hits: int
    false_hits: int
    recall: float | None


@dataclass(frozen=True, slots=True)
class PairsReport:
    """`refused` counts the pairs that were similar enough and that the guard held back, by what it found:
    those that do mean the same, which is its cost, and those that do not. `kinds` is empty, and not in the
    JSON, when no pair has a kind."""

    cache: CacheReport
    same: int
    refused: Mapping[Difference, tuple[int, int]]
    kinds: Mapping[str, KindScore]

    def as_json(self) -> dict[str, object]:
        """JSON-ready; the cache's figures and curve come first."""
        document: dict[str, object] = {
            **self.cache.as_json(),
            "same": self.same,
            "refused": {
                difference.value: {"same": same, "different": different}
                for difference, (same, different) in self.refused.items()
            },
        }
        if self.kinds:
            document["kinds"] = {kind: asdict(score) for kind, score in self.kinds.items()}
        return document

    def as_text(self) -> str:
        lines = [f"pairs {self.cache.n}  same {self.same}", self.cache.as_text()]
        if self.refused:
            lines += ["", f"{'held back by the guard':<24}{'same':>8}{'different':>11}"]
            lines += [f"{each.value:<24}{same:>8}{other:>11}" for each, (same, other) in self.refused.items()]
        if self.kinds:
            lines += ["", f"{'kind':<24}{'pairs':>8}{'same':>7}{'hits':>7}{'false hits':>12}{'recall':>9}"]
            lines += [
                f"{kind:<24}{score.n:>8}{score.same:>7}{score.hits:>7}{score.false_hits:>12}"
                f"{ratio(score.recall):>9}"
                for kind, score in self.kinds.items()
            ]
        return "\n".join(lines)


def judge_pair(judge: Judge, pair: Pair) -> Verdict:
    """What a cache that holds `a` says to `b`."""
    # Rounding takes the product of two unit vectors a little past 1; a store says 1 then.
    similarity = float(np.clip(pair.a.vector @ pair.b.vector, -1.0, 1.0))
    return judge.verdict(pair.b, [Candidate(judge.entry(pair.a, ANSWER), similarity)])


def evaluate_pairs(
    pairs: Sequence[Pair],
    verdicts: Sequence[Verdict],
    threshold: float,
    thresholds: Sequence[float] = THRESHOLDS,
) -> PairsReport:
    """`verdicts` are those of `judge_pair` on `pairs`, at least one; `threshold` is the shipped default."""
    expected = [ANSWER if pair.same else None for pair in pairs]
    kinds = sorted({pair.kind for pair in pairs if pair.kind is not None})
    rows = list(zip(pairs, verdicts, strict=True))
    return PairsReport(
        cache=measure(verdicts, expected, threshold, thresholds),
        same=sum(pair.same for pair in pairs),
        refused=_refused(rows),
        kinds={kind: _score(row for row in rows if row[0].kind == kind) for kind in kinds},
    )


def _refused(rows: Iterable[tuple[Pair, Verdict]]) -> dict[Difference, tuple[int, int]]:
    counts = Counter((difference, pair.same) for pair, verdict in rows for difference in verdict.refused)
    found = sorted({difference for difference, _ in counts}, key=list(Difference).index)
    return {each: (counts[each, True], counts[each, False]) for each in found}


def _score(rows: Iterable[tuple[Pair, Verdict]]) -> KindScore:
    outcomes = Counter((pair.same, verdict.shipped is not None) for pair, verdict in rows)
    same = outcomes[True, True] + outcomes[True, False]
    return KindScore(
        n=outcomes.total(),
        same=same,
        hits=outcomes[True, True] + outcomes[False, True],
        false_hits=outcomes[False, True],
        recall=outcomes[True, True] / same if same else None,
    )

"""A recorded conversation with one cache: which questions it answers, and whether with the right answer.

Pure: the cache's answers to the questions were collected elsewhere.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from router_extproc.caching.guard import Difference
from router_extproc.evaluation.curve import THRESHOLDS, CacheReport, measure
from router_extproc.evaluation.judge import EXACT, Verdict


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """`expected` counts the asks that an entry before them should answer, `exact` those whose very text was
    held, `refused` the candidates that were similar enough and that the guard held back, by what it found."""

    cache: CacheReport
    puts: int
    expected: int
    exact: int
    refused: Mapping[Difference, int]

    def as_json(self) -> dict[str, object]:
        """JSON-ready; the cache's figures and curve come first."""
        return {
            **self.cache.as_json(),
            "puts": self.puts,
            "expected": self.expected,
            "exact": self.exact,
            "refused": {difference.value: count for difference, count in self.refused.items()},
        }

    def as_text(self) -> str:
        refused = "  ".join(f"{difference.value} {count}" for difference, count in self.refused.items())
        return "\n".join(
            (
                f"puts {self.puts}  asks {self.cache.n}  with an answer {self.expected}  "
                f"word for word {self.exact}",
                self.cache.as_text(),
                "",
                f"candidates held back by the guard: {refused or 'none'}",
            )
        )


def evaluate_replay(
    verdicts: Sequence[Verdict],
    expected: Sequence[str | None],
    threshold: float,
    *,
    puts: int,
    thresholds: Sequence[float] = THRESHOLDS,
) -> ReplayReport:
    """`expected` are the ids that should answer, None for nothing; `threshold` is the shipped default."""
    refused: Counter[Difference] = Counter()
    for verdict in verdicts:
        refused.update(verdict.refused)
    return ReplayReport(
        cache=measure(verdicts, expected, threshold, thresholds),
        puts=puts,
        expected=sum(answer is not None for answer in expected),
        exact=sum(verdict.bare.similarity == EXACT for verdict in verdicts),
        refused={difference: refused[difference] for difference in Difference if refused[difference]},
    )

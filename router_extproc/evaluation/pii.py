"""How well personal data was found: whole entities, by exact place and type.

Pure: takes what is there and what was found. An entity counts as found only if start, end and type are the
same, the strict scheme of the CoNLL shared tasks; half an address is both a miss and a false find.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from router_extproc.screening.spans import identifies

Entity = tuple[int, int, str]
"""Start, end (excluded) in characters, type."""


@dataclass(frozen=True, slots=True)
class TypeScore:
    """`entities` are in the texts, `found` were found, `right` of those are in the texts. A share of nothing
    is 0."""

    entities: int
    found: int
    right: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class PiiReport:
    """`entity_f1`, `precision` and `recall` count all entities alike (micro). `rows_flagged` is the share of
    the rows with something found, `clean_rows_flagged` that of the rows in which there is nothing (0 if there
    is no such row). `rows_identified` and `clean_rows_identified` count only what was found of a type that
    identifies a person: any but the `QUASI_IDENTIFIERS` of `screening.spans`."""

    entity_f1: float
    precision: float
    recall: float
    per_type: Mapping[str, TypeScore]
    rows: int
    rows_flagged: float
    clean_rows: int
    clean_rows_flagged: float
    rows_identified: float
    clean_rows_identified: float

    def as_json(self) -> dict[str, object]:
        """JSON-ready; `entity_f1`, `precision`, `recall` and `per_type` come first."""
        return asdict(self)

    def as_text(self) -> str:
        """A table for a terminal: totals, then each type."""
        lines = [
            f"rows {self.rows}  entity F1 {self.entity_f1:.4f}  precision {self.precision:.4f}  "
            f"recall {self.recall:.4f}",
            f"rows flagged {self.rows_flagged:.2%}, of {self.clean_rows} without personal data "
            f"{self.clean_rows_flagged:.2%}",
            f"by a type that identifies a person {self.rows_identified:.2%}, of those "
            f"{self.clean_rows_identified:.2%}",
            "",
            f"{'type':<20}{'entities':>9}{'found':>7}{'precision':>11}{'recall':>8}{'F1':>8}",
        ]
        lines += [
            f"{name:<20}{score.entities:>9}{score.found:>7}{score.precision:>11.3f}{score.recall:>8.3f}"
            f"{score.f1:>8.3f}"
            for name, score in self.per_type.items()
        ]
        return "\n".join(lines)


def evaluate_pii(gold: Sequence[Sequence[Entity]], found: Sequence[Sequence[Entity]]) -> PiiReport:
    """Compare what was found in each row with what is there.

    Both sequences have the same length, at least 1; otherwise ValueError. An entity given twice in a row
    counts once. Types that are nowhere have no line.
    """
    if not gold or len(gold) != len(found):
        raise ValueError("gold and found must have the same length, at least 1")
    there, seen, right = Counter[str](), Counter[str](), Counter[str]()
    for wanted, got in zip(map(set, gold), map(set, found), strict=True):
        there.update(kind for _, _, kind in wanted)
        seen.update(kind for _, _, kind in got)
        right.update(kind for _, _, kind in wanted & got)
    total = _score(there.total(), seen.total(), right.total())
    clean = [got for wanted, got in zip(gold, found, strict=True) if not wanted]
    return PiiReport(
        entity_f1=total.f1,
        precision=total.precision,
        recall=total.recall,
        per_type={kind: _score(there[kind], seen[kind], right[kind]) for kind in sorted(there | seen)},
        rows=len(gold),
        rows_flagged=_share(found, bool),
        clean_rows=len(clean),
        clean_rows_flagged=_share(clean, bool),
        rows_identified=_share(found, _identifies),
        clean_rows_identified=_share(clean, _identifies),
    )


def _share(rows: Sequence[Sequence[Entity]], flagged: Callable[[Sequence[Entity]], bool]) -> float:
    return sum(map(flagged, rows)) / len(rows) if rows else 0.0


def _identifies(found: Sequence[Entity]) -> bool:
    return identifies(kind for _, _, kind in found)


def _score(entities: int, found: int, right: int) -> TypeScore:
    return TypeScore(
        entities=entities,
        found=found,
        right=right,
        precision=right / found if found else 0.0,
        recall=right / entities if entities else 0.0,
        f1=2 * right / (entities + found) if entities + found else 0.0,
    )

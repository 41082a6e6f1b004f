"""Families of attacks, one left out at a time: who is fitted on what, what is measured, and the report.

Pure: knows no model and no PyTorch. `leave_one_out` fits and scores.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from router_extproc.base.errors import OperatorError
from router_extproc.evaluation.guard import GuardReport
from training.guard_text import GuardRow
from training.leakage import Held
from training.tables import percent, table

ALIKE = (
    ("in-the-wild", "self-reminder", "persona", "developer_mode"),
    ("bipia", "answer_tampering", "code_insertion", "task_hijack"),
)
"""Families that are so like each other that one alone is hardly left out; they are also left out together."""

CASES = {
    "developer_mode": "dev_mode",
    "encoded": "encoding",
    "extraction": "prompt_extraction",
    "fewshot": "fake_turns",
    "split": "split_payload",
    "task_hijack": "goal_hijack",
    "translation": "translation_detour",
}
"""What a family is called in `cases/guard.jsonl` where the names differ."""

SETS = {
    "self-reminder": {"in-the-wild", "self-reminder"},
    "Tensor Trust, hijacking": {"task_hijack", "override"},
    "Tensor Trust, extraction": {"extraction"},
    "PIGuard's validation set": {"bipia", "answer_tampering", "code_insertion"},
}
"""The families that a measured set is most like."""


INTRODUCTION = """\
What the guard makes of a kind of attack that it has not seen. A trunk and a guard's head are fitted anew for
each family, without it and without what is nearly one of its texts, and measured against {innocent} innocent
prompts of `cases/guard.jsonl` (ordinary, tricky, sensitive). Nothing measured here was fitted on, with the
family neither.

False positives first: *caught* is the share of the attacks at the lowest threshold that blocks at most
{allowed} of the innocent prompts. *With it*: the same after a fit of the same size on all families.

These fits are smaller than what ships ({settings}): compare the columns, not the figures with those of
`REPORT.md`. Texts that were set aside from our own generator are made of the pieces of those fitted on, which
flatters *with it*; the cases and the public sets are not. Families are like each other; the last lines leave
out several together."""


@dataclass(frozen=True, slots=True)
class Group:
    """Families that are left out together; none for what the others are compared with."""

    families: frozenset[str]

    @property
    def name(self) -> str:
        return " + ".join(sorted(self.families)) or "nothing"


@dataclass(frozen=True, slots=True)
class Measured:
    """Attacks of the families `of`, which nobody was fitted on."""

    name: str
    of: frozenset[str]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fit:
    """A group, the rows fitted on without it, and what that says of each set by its name."""

    group: Group
    rows: int
    found: Mapping[str, GuardReport]


def groups(known: Iterable[str], named: str | None = None) -> list[Group]:
    """Every family of `known` by itself and `ALIKE` together, or those of `named`: names with commas between
    groups and plus signs within. OperatorError for an unknown name."""
    families = sorted(set(known))
    if named is None:
        together = [frozenset(each) for each in ALIKE]
        return [Group(each) for each in (*(frozenset([name]) for name in families), *together)]
    chosen = [frozenset(part.strip() for part in each.split("+")) for each in named.split(",")]
    for name in sorted(frozenset().union(*chosen) - set(families)):
        raise OperatorError(f"--families: there is no family {name!r}; there are {', '.join(families)}")
    return [Group(each) for each in chosen]


def set_aside(
    rows: Sequence[GuardRow], most: int, random: Random
) -> tuple[list[GuardRow], dict[str, list[str]]]:
    """The rows to be fitted on, and texts of each family of attacks that nobody is fitted on: a third of it,
    at most `most`. What is nearly one of those is not fitted on either."""
    of: defaultdict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        if row.label:
            of[row.family].append(place)
    aside = {
        family: random.sample(places, min(most, len(places) // 3)) for family, places in sorted(of.items())
    }
    taken = {place for places in aside.values() for place in places}
    held = Held(rows[place].text for place in sorted(taken))
    left = [row for place, row in enumerate(rows) if place not in taken and not held.is_near(row.text)]
    return left, {family: [rows[place].text for place in places] for family, places in aside.items()}


def without(rows: Sequence[GuardRow], group: Group) -> list[GuardRow]:
    """The rows of other families that are near no attack of the group: the public sets share texts."""
    held = Held(row.text for row in rows if row.family in group.families)
    return [row for row in rows if row.family not in group.families and not held.is_near(row.text)]


def window(ids: Sequence[int], size: int, random: Random) -> list[int]:
    """At most `size` tokens in a row: of every second longer text the beginning, else from anywhere."""
    last = max(0, len(ids) - size)
    start = random.randrange(last + 1) if random.random() < 0.5 else 0
    return list(ids[start : start + size])


def concerning(group: Group, measured: Sequence[Measured]) -> list[Measured]:
    return [each for each in measured if each.of & group.families]


def case_families(known: Iterable[str]) -> dict[str, str]:
    """The family of each family in `cases/guard.jsonl`, as it is called there."""
    return {CASES.get(name, name): name for name in sorted(set(known))}


def render(
    fits: Sequence[Fit], measured: Sequence[Measured], innocent: int, settings: str, allowed: float = 0.01
) -> str:
    """The report, of the fits so far; `settings` says how large they were. `allowed` is the share of innocent
    prompts that may be blocked, one of `evaluation.guard.BUDGETS`."""
    base = next((fit.found for fit in fits if not fit.group.families), {})
    rows = [
        line(fit, each.name, base.get(each.name), allowed)
        for fit in fits
        for each in concerning(fit.group, measured)
    ]
    head = ("left out", "rows fitted on", "attacks", "rows", "caught", "with it", "AUC", "AUC with it")
    return "\n\n".join(
        (
            "# One family of attacks left out",
            "Written by `python -m training.leave_one_out`; do not edit.",
            INTRODUCTION.format(innocent=innocent, allowed=percent(allowed), settings=settings),
            table(head, rows),
        )
    )


def line(fit: Fit, name: str, base: GuardReport | None, allowed: float) -> tuple[object, ...]:
    """The set `name` as `fit` judges it, beside `base`, the judgement of the fit on everything."""
    found = fit.found[name]
    return (
        fit.group.name,
        fit.rows,
        name,
        found.attacks,
        caught(found, allowed),
        caught(base, allowed) if base else None,
        found.auc,
        base.auc if base else None,
    )


def caught(report: GuardReport, allowed: float) -> float:
    """The share of the attacks at the threshold that blocks no more than `allowed` of the innocent."""
    return next(each.recall for each in report.budgets if each.allowed == allowed)

"""The report of a fitted complexity head, as Markdown. Contains figures and names of sets, never their
texts."""

from collections.abc import Sequence
from dataclasses import dataclass

from router_extproc.evaluation.routing import RoutingReport
from training.sources import Examples


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting's APGR over the folds, and its standard deviation between them."""

    penalty: float
    temperature: float
    apgr: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """Everything the report tells. `reliability` pairs a mean P(strong) with the share found; `cases` pairs
    an intended label, `weak` or `strong`, with P(strong)."""

    seed: int
    folds: int
    encoder: str
    gate_penalty: float
    floor: float
    ceiling: float
    trials: tuple[Trial, ...]
    chosen: Trial
    questions: int
    requests: tuple[Examples, ...]
    assignments: tuple[Examples, ...]
    held: tuple[tuple[str, RoutingReport], ...]
    reliability: tuple[tuple[float, float], ...]
    cases: tuple[tuple[str, float], ...]


def render(fitted: Fitted) -> str:
    """The whole report; written by `python -m training.complexity`, not by hand."""
    chosen = fitted.chosen
    parts = [
        "# Complexity head",
        "Written by `python -m training.complexity`; do not edit.",
        f"Encoder `{fitted.encoder}`, states of the trunk. A gate of three kinds of text "
        f"(C = {fitted.gate_penalty:g}, temperature {chosen.temperature:g}) and an expert for questions "
        f"(C = {chosen.penalty:g}). Plain requests count as {fitted.floor:g}, assignments as at most "
        f"{fitted.ceiling:g}, and less the easier the expert finds them. Seed {fitted.seed}.",
        "P(strong) is the probability that the strong model's answer is the better one, equally good ones "
        "counting half. A question on which nothing is known is therefore near one half, not near zero.",
        "## Data",
        _data(fitted),
        "## Choice of the penalty and the temperature",
        f"APGR over {fitted.folds} folds of the questions; the softest gate within one standard deviation of "
        "the best, and of those the smoothest expert.",
        _table(
            ("C of the expert", "temperature", "APGR", "deviation"),
            [
                (f"{t.penalty:g}", f"{t.temperature:g}", f"{t.apgr:.4f}", f"{t.deviation:.4f}")
                for t in fitted.trials
            ],
        ),
        "## Held-out questions",
        "Mixtral 8x7B is the weak model and GPT-4 the strong one, answers as published with RouteLLM. Random "
        "routing has an APGR of 0.5. Nothing was fitted on GSM8K or sets like it.",
        _held(fitted),
        "### What the probability is worth",
        f"Rows of {fitted.held[0][0]} in five equal groups.",
        _table(
            ("mean P(strong)", "strong is better, ties half"),
            [(f"{mean:.3f}", f"{found:.3f}") for mean, found in fitted.reliability],
        ),
        "## Obvious cases",
        "`complexity_cases.jsonl`: 100 plain and 100 demanding prompts of our own, written before the first "
        "fit and not fitted on. They were looked at while the sets above were compared, so they are "
        "a check and no unseen test.",
        _cases(fitted.cases),
        "## Limits",
        "The states say what a text is about and of what kind it is, and little of how many steps it takes. "
        "English above all: the base model and the sets of others are. The outcomes are of two models of "
        "2023; "
        "what their successors find hard differs. Measure your own pair of models with "
        "`router-extproc eval routing`.",
    ]
    return "\n\n".join(parts) + "\n"


def _data(fitted: Fitted) -> str:
    rows = [("train/routing_mmlu.jsonl", str(fitted.questions), "Apache-2.0 (MMLU: MIT)", "questions")]
    for examples, use in (
        *((each, "plain requests") for each in fitted.requests),
        *((each, "assignments") for each in fitted.assignments),
    ):
        rows.append((examples.name, str(len(examples.texts)), examples.licence, use))
    return _table(("set", "rows", "licence", "used as"), rows)


def _held(fitted: Fitted) -> str:
    rows = []
    for name, report in fitted.held:
        shipped = report.shipped[0].at
        rows.append(
            (
                name,
                str(report.n),
                f"**{report.apgr:.4f}**",
                f"{report.cpt50:.3f}",
                f"{report.cpt80:.3f}",
                f"{shipped.strong_share:.3f}",
                f"{shipped.pgr:.3f}",
            )
        )
    header = ("set", "rows", "APGR", "CPT(50)", "CPT(80)", "strong calls at 0.6", "gap recovered there")
    return _table(header, rows)


def _cases(cases: Sequence[tuple[str, float]]) -> str:
    easy = [strong for label, strong in cases if label == "weak"]
    hard = [strong for label, strong in cases if label == "strong"]

    def share(right: Sequence[bool]) -> str:
        return f"{sum(right) / len(right):.2f}"

    return _table(
        ("", "right at 0.5", "right at `easy_below` 0.4, `hard_above` 0.6", "called the opposite there"),
        [
            (
                "plain",
                share([p < 0.5 for p in easy]),
                share([p <= 0.4 for p in easy]),
                share([p >= 0.6 for p in easy]),
            ),
            (
                "demanding",
                share([p >= 0.5 for p in hard]),
                share([p >= 0.6 for p in hard]),
                share([p <= 0.4 for p in hard]),
            ),
        ],
    )


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

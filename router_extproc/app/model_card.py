"""The model card: what ships, what it was made of, what it reaches and what it cannot do, as Markdown."""

from collections.abc import Iterator, Sequence

from router_extproc.encoder.cards import Head, TrainingSet
from router_extproc.encoder.fetch import BASE_FILES, BASE_MODEL, BASE_REVISION

LIMITS = (
    "The base model was trained on English. Other languages are read, and judged worse.",
    "A guard lowers a risk and removes none: texts that it does not catch exist, and can be found by trying.",
    "Probabilities are calibrated on sets like those of the training data; measure on your own texts "
    "(`router-extproc eval`) before a threshold decides anything that matters.",
)

NOT_SAID = "the file does not say"


def card_of(heads: Sequence[Head], *, whole: bool) -> str:
    """Of `heads`; with `whole` also of the base model and of all of them together. Ends with a newline."""
    parts = [*(_base() if whole else ()), *(line for head in heads for line in _head(head))]
    return "\n".join(parts) + "\n"


def _base() -> Iterator[str]:
    yield "# Model card of router-extproc"
    yield ""
    yield from ("## Limits", "", *(f"- {limit}" for limit in LIMITS), "")
    yield from ("## Base model", "", f"{BASE_MODEL}, revision `{BASE_REVISION}`, licence Apache-2.0.")
    yield "It is fetched and verified, and is not part of the package:"
    yield from ("", "| file | bytes | SHA-256 |", "| --- | --- | --- |")
    yield from (f"| `{file.name}` | {file.size} | `{file.sha256}` |" for file in BASE_FILES)
    yield ""


def _head(head: Head) -> Iterator[str]:
    card = head.card
    threshold = NOT_SAID if card.threshold is None else f"{card.threshold:g}"
    yield from (f"## {head.name}", "")
    if card.limits:
        yield from (*(f"- {limit}" for limit in card.limits), "")
    yield from ("| | |", "| --- | --- |")
    yield f"| file | `{head.file}`, {head.size} bytes, SHA-256 `{head.sha256}` |"
    yield f"| fitted over | revision `{head.base_revision or NOT_SAID}` of the base model |"
    yield f"| reads | {_cell(card.reads)} |"
    yield f"| labels | {_cell(', '.join(card.labels))} |"
    yield f"| calibration | {_cell(card.calibration)} |"
    yield f"| threshold | {threshold} |"
    yield f"| licence | {_cell(card.licence)} |"
    yield f"| report | {_cell(card.report)} |"
    yield ""
    yield from _sets(card.fitted_on)
    for measured, figures in card.figures.items():
        yield from (f"Measured on {measured}:", "", "| figure | value |", "| --- | --- |")
        yield from (f"| {_cell(name)} | {value:g} |" for name, value in figures.items())
        yield ""


def _sets(sets: Sequence[TrainingSet]) -> Iterator[str]:
    if sets:
        yield from ("Fitted on:", "", "| set | rows | where it comes from | licence |", "| --- " * 4 + "|")
        yield from (
            f"| {_cell(each.name)} | {each.rows or ''} | {_cell(each.source)} | {_cell(each.licence)} |"
            for each in sets
        )
        yield ""


def _cell(text: str) -> str:
    """A table's cell is one line, and a bar ends it."""
    return " ".join(text.split()).replace("|", "\\|") or NOT_SAID

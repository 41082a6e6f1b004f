"""Markdown tables of the report. Pure: takes what `router-extproc eval --json` says and never measures."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Floats with three digits, None as an empty cell."""
    lines = [head, ["---"] * len(head), *([shown(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def shown(cell: object) -> str:
    if cell is None:
        return ""
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)


def confusion(found: Mapping[str, Mapping[str, int]]) -> str:
    """`found[true][said]` counts rows, without zeros. A row of the table is what is true, a column what was
    said; a label that nobody knows but the file has a row, and a column only if it was said."""
    said = {label for row in found.values() for label in row}
    columns = [label for label in found if found[label] or label in said]
    head = ("true \\ said", *(short for short in abbreviations(columns)))
    return table(head, [(label, *(found[label].get(other) for other in columns)) for label in columns])


def abbreviations(labels: Sequence[str]) -> list[str]:
    """The first three letters, of several words their initials; all as they are where two came out alike."""
    short = [
        "".join(word[0] for word in words) if len(words := label.split()) > 1 else label[:3]
        for label in labels
    ]
    return short if len(set(short)) == len(labels) else list(labels)


def reliability(bins: Sequence[Row], said: str = "mean confidence", right: str = "accuracy") -> str:
    """One line for each bin that has rows."""
    return table(
        ("from", "to", "rows", said, right),
        [
            (f"{each['low']:.1f}", f"{each['high']:.1f}", each["rows"], each["confidence"], each["accuracy"])
            for each in bins
            if each["rows"]
        ],
    )


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def types_found(per_type: Mapping[str, Row]) -> str:
    """The types with how many were found, the most first."""
    counts = sorted(((-each["found"], name) for name, each in per_type.items() if each["found"]))
    return ", ".join(f"{name} {-count}" for count, name in counts)

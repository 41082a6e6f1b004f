"""The texts the heads are fitted on. Owns which rows of which set count as what.

The data itself is not part of the project. `README.md` in this folder says where each set comes from.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from router_extproc.base.errors import OperatorError


@dataclass(frozen=True, slots=True)
class Examples:
    """Texts and their labels, and what the report says about them."""

    name: str
    licence: str
    texts: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A set whose rows are all of one kind for the complexity head. `cut` ends a text where its answer
    options begin; at most `rows` are drawn."""

    file: str
    licence: str
    key: str
    rows: int
    cut: str = "\0"


REQUESTS = (
    Kind("intents_clinc150.jsonl", "CC BY 3.0", "text", 1000),
    Kind("intents_banking77.jsonl", "CC BY 4.0", "text", 200),
    Kind("prompts_arc_ARC-Easy-train.jsonl", "CC BY-SA 4.0", "prompt", 800, cut="\n\nAnswer1"),
)
"""What nearly never needs a strong model: short commands, questions to a bank, grade-school science."""

ASSIGNMENTS = (Kind("prompts_arena_hard_v2.0.jsonl", "Apache-2.0", "prompt", 750),)
"""What nearly always does: prompts that were selected because they tell strong models apart."""


def draw(folder: Path, generator: np.random.Generator) -> tuple[list[Examples], list[Examples]]:
    """Plain requests and assignments, drawn at random, with our own."""
    return (
        [_own("plain", "weak"), *(_kind(folder, kind, "weak", generator) for kind in REQUESTS)],
        [_own("demanding", "strong"), *(_kind(folder, kind, "strong", generator) for kind in ASSIGNMENTS)],
    )


def _own(label: str, counts_as: str) -> Examples:
    rows = read_rows(Path(__file__).parent / "own" / "complexity.jsonl")
    texts = tuple(str(row["text"]) for row in rows if row["label"] == label)
    return Examples(f"own/complexity.jsonl, {label}", "Apache-2.0", texts, (counts_as,) * len(texts))


def _kind(folder: Path, kind: Kind, label: str, generator: np.random.Generator) -> Examples:
    rows = read_rows(folder / kind.file)
    chosen = generator.permutation(len(rows))[: kind.rows].tolist()
    texts = tuple(str(rows[index][kind.key]).split(kind.cut)[0] for index in chosen)
    return Examples(f"{folder.name}/{kind.file}", kind.licence, texts, (label,) * len(texts))


def read_rows(path: Path) -> list[dict[str, object]]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise OperatorError(f"{path}: cannot be read ({error.strerror})") from None
    return [msgspec.json.decode(line, type=dict[str, object]) for line in lines if line.strip()]

"""The texts the heads are fitted on. Owns which rows of which set count as what.

The data itself is not part of the project. `README.md` in this folder says where each set comes from.
"""

from collections.abc import Callable
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
class Extra:
    """A set without domain labels of which every kept row has the same, evident one."""

    file: str
    licence: str
    key: str
    label: str
    rows: int
    keep: Callable[[dict[str, object]], bool] = lambda row: True


MONEY = ("banking", "credit_cards")

EXTRAS = (
    Extra("prompts_gsm8k_train.jsonl", "MIT", "question", "math", 150),
    Extra("prompts_mbpp_mbpp.jsonl", "CC BY 4.0", "text", "computer science", 150),
    # Requests to an assistant. Those about money are left out: some would call them business.
    Extra(
        "intents_clinc150.jsonl", "CC BY 3.0", "text", "other", 150, lambda row: row["domain"] not in MONEY
    ),
)
"""What exam questions lack: short requests, programming tasks, word problems. Without them a head fitted on
MMLU-Pro calls "set a timer" mathematics. 150 rows each is about half of the rarest category."""

MMLU_PRO = ("domain_mmlu_pro.jsonl", "MIT (repository: Apache-2.0)")


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
    """Plain requests and assignments, drawn at random."""
    return (
        [_kind(folder, kind, "weak", generator) for kind in REQUESTS],
        [_kind(folder, kind, "strong", generator) for kind in ASSIGNMENTS],
    )


def _kind(folder: Path, kind: Kind, label: str, generator: np.random.Generator) -> Examples:
    rows = read_rows(folder / kind.file)
    chosen = generator.permutation(len(rows))[: kind.rows].tolist()
    texts = tuple(str(rows[index][kind.key]).split(kind.cut)[0] for index in chosen)
    return Examples(f"{folder.name}/{kind.file}", kind.licence, texts, (label,) * len(texts))


def mmlu_pro(folder: Path) -> Examples:
    """MMLU-Pro's questions without their options, with their category."""
    file, licence = MMLU_PRO
    rows = read_rows(folder / file)
    return Examples(
        name=f"{folder.name}/{file}",
        licence=licence,
        texts=tuple(str(row["text"]) for row in rows),
        labels=tuple(str(row["label"]) for row in rows),
    )


def extra(folder: Path, source: Extra, generator: np.random.Generator) -> tuple[Examples, Examples]:
    """`source.rows` drawn at random for fitting, and up to 500 others for the report."""
    rows = [row for row in read_rows(folder / source.file) if source.keep(row)]
    order = generator.permutation(len(rows)).tolist()
    texts = tuple(str(rows[index][source.key]) for index in order)
    fit, rest = texts[: source.rows], texts[source.rows : source.rows + 500]
    name = f"{folder.name}/{source.file}"
    return (
        Examples(name, source.licence, fit, (source.label,) * len(fit)),
        Examples(name, source.licence, rest, (source.label,) * len(rest)),
    )


def read_rows(path: Path) -> list[dict[str, object]]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise OperatorError(f"{path}: cannot be read ({error.strerror})") from None
    return [msgspec.json.decode(line, type=dict[str, object]) for line in lines if line.strip()]

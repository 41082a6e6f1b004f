"""What the trunk is fitted on: batches of token ids with what is to be said of them.

Owns tokenising, windows and the mixing of tasks. Knows nothing of models or losses.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor

from router_extproc.encoder.session import without_surrogates

CLS, SEP, MASK = 101, 102, 103
WINDOW = 160
"""Tokens of a fitted window. A long text gives another random window every time it is drawn."""

BATCH_TOKENS = 4096
LONGEST = 128
"""Texts in a batch."""

HIDDEN = {"domain": 0.1, "guard": 0.05}
"""The share of tokens that are masked, by task: a text is to be known by all that it says, not by one word
(Iyyer et al. 2015)."""

TAGGED_TASKS = ("pii", "names")
"""Tasks with a target for every token."""

IGNORED = -100
"""PyTorch's mark of a position that no loss reads."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text of `task` with its class, or, for the entity task, with (start, end, type) in characters."""

    task: str
    text: str
    label: int = 0
    spans: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """`targets` is (batch,), or (batch, sequence) for entities; `places` are the texts' in the whole list."""

    task: str
    ids: Tensor
    mask: Tensor
    targets: Tensor
    places: list[int]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Ids without special tokens; `tags` one for each, 0 outside, 2t+1 first and 2t+2 further of type t."""

    ids: list[int]
    tags: list[int]


def encode(tokeniser: Tokenizer, text: Text) -> Encoded:
    found = tokeniser.encode(without_surrogates(text.text), add_special_tokens=False)
    tags = [0] * len(found.ids)
    for start, end, kind in text.spans:
        first = True
        for place, (begin, stop) in enumerate(found.offsets):
            if begin < end and start < stop:
                tags[place] = 2 * kind + (1 if first else 2)
                first = False
    return Encoded(list(found.ids), tags)


def batches(texts: Sequence[Text], encoded: Sequence[Encoded], random: Random) -> Iterator[Batch]:
    """All texts once, each batch of one task and about one length, in random order."""
    groups = _groups(texts, encoded, random)
    random.shuffle(groups)
    return (_batch(texts, encoded, group, random) for group in groups)


def count(texts: Sequence[Text], encoded: Sequence[Encoded]) -> int:
    """How many batches there are, about: the cuts depend a little on the draw."""
    return len(_groups(texts, encoded, Random(1)))  # noqa: S311 - a count


def hidden(ids: Sequence[int], share: float, random: Random) -> list[int]:
    """`ids` with about `share` of them masked."""
    return [MASK if random.random() < share else token for token in ids]


def _groups(texts: Sequence[Text], encoded: Sequence[Encoded], random: Random) -> list[list[int]]:
    tasks: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        tasks.setdefault(text.task, []).append(place)
    groups: list[list[int]] = []
    for places in tasks.values():
        random.shuffle(places)
        for start in range(0, len(places), LONGEST * 40):
            part = sorted(places[start : start + LONGEST * 40], key=lambda place: length(encoded[place]))
            groups += _cut(part, encoded)
    return groups


def length(encoded: Encoded) -> int:
    return min(len(encoded.ids), WINDOW - 2) + 2


def _cut(places: Sequence[int], encoded: Sequence[Encoded]) -> list[list[int]]:
    groups: list[list[int]] = [[]]
    for place in places:
        if len(groups[-1]) >= LONGEST or (len(groups[-1]) + 1) * length(encoded[place]) > BATCH_TOKENS:
            groups.append([])
        groups[-1].append(place)
    return [group for group in groups if group]


def _batch(texts: Sequence[Text], encoded: Sequence[Encoded], places: list[int], random: Random) -> Batch:
    task = texts[places[0]].task
    rows, tags = [], []
    for place in places:
        whole = encoded[place]
        last = len(whole.ids) - (WINDOW - 2)
        # Of classes the beginning says most; every second window is another one.
        start = random.randrange(last + 1) if last > 0 and random.random() < 0.5 else 0
        part = slice(start, start + WINDOW - 2)
        rows.append([CLS, *hidden(whole.ids[part], HIDDEN.get(task, 0.0), random), SEP])
        tags.append([IGNORED, *whole.tags[part], IGNORED])
    width = max(map(len, rows))
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    marks = torch.full((len(rows), width), IGNORED)
    for at, (row, row_tags) in enumerate(zip(rows, tags, strict=True)):
        ids[at, : len(row)] = torch.tensor(row)
        marks[at, : len(row)] = torch.tensor(row_tags)
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(width)[None, :] < lengths[:, None]
    targets = marks if task in TAGGED_TASKS else torch.tensor([texts[place].label for place in places])
    return Batch(task, ids, mask, targets, places)

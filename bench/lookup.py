"""How long a semantic lookup takes, by store and by number of entries, and how often it finds the best one.

All subjects of one size are asked in turn, in the same rounds, so that a noisy machine is noisy for all of
them. A library gets the least search effort at which its recall@1 is `RECALL`, so that speeds compare.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.indexes import SUBJECTS, Ours, Subject
from bench.milvus import Behind, lite, server
from bench.vectors import HIT, Matrix, Sample, sample

SIZES = (1_000, 10_000, 100_000)
MILVUS_SIZES = (1_000, 20_000)
QUERIES = 400
MILVUS_QUERIES = 100
ROUNDS = 4
RECALL = 0.99
_SAME = 1e-5
"""Cosines closer than this are equally good answers."""


@dataclass(frozen=True, slots=True)
class Row:
    """Milliseconds over every query; recall@1 over those that have an answer, and over all. Of a subject that
    could not be measured, `why` says why and the rest is empty."""

    subject: str
    entries: int
    p50: float = 0.0
    p99: float = 0.0
    recall: float = 0.0
    recall_all: float = 0.0
    build: float = 0.0
    """Seconds; of a library with every thread it likes."""
    setting: int = 0
    ratio: float = 0.0
    """p50 over that of the fastest library at this size."""
    why: str = ""


async def run(
    sizes: Iterable[int] = SIZES, milvus_sizes: Iterable[int] = MILVUS_SIZES, queries: int = QUERIES
) -> list[Row]:
    rows: list[Row] = []
    for entries in sizes:
        rows += await in_memory(sample(entries, queries))
    for entries in milvus_sizes:
        data = sample(entries, MILVUS_QUERIES)
        with tempfile.TemporaryDirectory(prefix="router-extproc-bench-") as folder:
            for opened in (lite(Path(folder) / "lite", data.stored), server(data.stored)):
                _say(f"{entries} entries: Milvus")
                async with opened as behind:
                    rows.append(await _behind(behind, data))
    return rows


async def in_memory(data: Sample, subjects: Sequence[Callable[[], Subject]] = SUBJECTS) -> list[Row]:
    """One row for each subject; those that could not be imported come last."""
    entries, built, missing = len(data.stored), list[tuple[Subject, float, int]](), list[Row]()
    for new in subjects:
        subject = new()
        _say(f"{entries} entries: building {subject.name}")
        began = time.perf_counter()
        try:
            subject.build(data.stored)
        except ImportError:
            missing.append(Row(subject.name, entries, why="not installed"))
            continue
        seconds = time.perf_counter() - began
        built.append((subject, seconds, await least_effort(subject, data)))
    taken: dict[str, list[float]] = {subject.name: [] for subject, _, _ in built}
    for turn in range(ROUNDS):
        part = data.queries[turn::ROUNDS]
        for subject, _, _ in built:
            _say(f"{entries} entries, round {turn + 1} of {ROUNDS}: {subject.name}")
            taken[subject.name] += await _timed(subject, part)
    fastest = min((np.median(times) for name, times in taken.items() if name != Ours.name), default=np.inf)
    rows = []
    for subject, seconds, setting in built:
        p50, p99 = 1e3 * np.percentile(taken[subject.name], (50, 99))
        recall, recall_all = await _recall(subject, data)
        ratio = p50 / (1e3 * fastest)
        rows.append(Row(subject.name, entries, p50, p99, recall, recall_all, seconds, setting, float(ratio)))
    return rows + missing


async def least_effort(subject: Subject, data: Sample) -> int:
    """Choose the first setting with a recall@1 of `RECALL` over all queries, or the last; which one it is, 0
    without a choice."""
    chosen = 0
    for chosen in subject.settings:
        subject.set(chosen)
        if (await _recall(subject, data))[1] >= RECALL:
            break
    return chosen


async def _timed(subject: Subject, queries: Matrix) -> list[float]:
    """Seconds of each query, after a few that are not counted."""
    for query in queries[:10]:
        await subject.nearest(query)
    taken = []
    for query in queries:
        began = time.perf_counter()
        await subject.nearest(query)
        taken.append(time.perf_counter() - began)
    return taken


async def _recall(subject: Subject, data: Sample) -> tuple[float, float]:
    """Share of the queries whose best stored vector was found: of those it may answer, and of all."""
    found = [subject.rows(await subject.nearest(query)) for query in data.queries]
    return recall(found, data)


def recall(found: Sequence[Sequence[int]], data: Sample) -> tuple[float, float]:
    """As above, from the rows found for each query."""
    best = np.array(
        [
            max((data.stored[rows] @ query), default=-1.0)
            for rows, query in zip(map(list, found), data.queries, strict=True)
        ]
    )
    right, hits = best >= data.best - _SAME, data.best >= HIT
    return float(right[hits].mean()), float(right.mean())


async def _behind(behind: Behind, data: Sample) -> Row:
    taken, found = [], []
    for query in data.queries[:5]:
        await behind.nearest(query)
    for query in data.queries:
        began = time.perf_counter()
        rows = await behind.nearest(query)
        taken.append(time.perf_counter() - began)
        found.append(rows)
    p50, p99 = 1e3 * np.percentile(taken, (50, 99))
    return Row(behind.name, len(data.stored), p50, p99, *recall(found, data), behind.seconds)


def _say(line: str) -> None:
    sys.stderr.write(f"  {line}\n")
    sys.stderr.flush()


def table(rows: Sequence[Row]) -> str:
    lines = [
        f"{'entries':>8}  {'subject':16}{'effort':>7}{'p50 ms':>9}{'p99 ms':>9}{'/ fastest':>11}"
        f"{'recall@1':>10}{'of all':>8}{'build s':>9}"
    ]
    lines += [
        f"{r.entries:>8}  {r.subject:16}"
        + (
            f"{r.why:>7}"
            if r.why
            else f"{r.setting or '':>7}{r.p50:>9.3f}{r.p99:>9.3f}{f'{r.ratio:.2f}' if r.ratio else '':>11}"
            f"{r.recall:>10.4f}{r.recall_all:>8.4f}{r.build:>9.2f}"
        )
        for r in rows
    ]
    return "\n".join(lines) + "\n"


def measures(rows: Sequence[Row]) -> list[dict[str, object]]:
    """`{measure, value, unit}` for each figure."""
    found: list[dict[str, object]] = []
    for row in rows:
        if row.why:
            continue
        figures = [
            ("p50", row.p50, "ms"),
            ("p99", row.p99, "ms"),
            ("recall@1, queries with an answer", row.recall, "ratio"),
            ("recall@1, all queries", row.recall_all, "ratio"),
            ("build", row.build, "s"),
        ]
        if row.ratio:
            figures.append(("p50 / fastest library's", row.ratio, "ratio"))
        for name, value, unit in figures:
            place = f"lookup, {row.subject}, {row.entries} entries: {name}"
            found.append({"measure": place, "value": round(float(value), 4), "unit": unit})
    return found

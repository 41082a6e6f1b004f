"""What the router adds to Envoy: five subjects, measured in turn in one run, so that a noisy machine is noisy
for all of them."""

import asyncio
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from bench.load import Response, measure, post
from bench.stack import Ports

SYSTEM = "You are a helpful assistant."
QUESTION = "What are the main renewable energy sources?"
PARAPHRASE = "Which sources of renewable energy are the most important?"
ROUNDS = 3


def body(question: str) -> bytes:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
    return json.dumps({"model": "auto", "messages": messages, "temperature": 0.7}).encode()


@dataclass(frozen=True, slots=True)
class Subject:
    name: str
    port: int
    next_request: Callable[[], bytes]
    check: Callable[[Response], bool]


@dataclass(frozen=True, slots=True)
class Row:
    """Milliseconds over every request of a subject at one concurrency."""

    subject: str
    concurrency: int
    p50: float
    p99: float
    per_second: float
    added: float
    """p50 minus that of Envoy alone."""
    ratio: float
    """`added` over that of the no-op ext_proc."""


def subjects(ports: Ports) -> list[Subject]:
    def constant(question: str) -> Callable[[], bytes]:
        request = post(body(question))
        return lambda: request

    numbers: Iterator[int] = count()

    def unseen() -> bytes:
        # A number of its own makes each question a miss: the guard compares numbers.
        return post(body(f"{QUESTION[:-1]} in region {next(numbers)}?"))

    def is_hit(response: Response) -> bool:
        return b"x-vsr-cache-hit: true" in response.head

    def is_upstream(response: Response) -> bool:
        return b"x-vsr-cache-hit" not in response.head

    return [
        Subject("Envoy alone", ports.alone, constant(QUESTION), is_upstream),
        Subject("Envoy, no-op ext_proc", ports.no_op, constant(QUESTION), is_upstream),
        Subject("routed miss", ports.router, unseen, is_upstream),
        Subject("exact hit", ports.router, constant(QUESTION), is_hit),
        Subject("semantic hit", ports.router, constant(PARAPHRASE), is_hit),
    ]


async def run(ports: Ports, requests: int, levels: tuple[int, ...]) -> list[Row]:
    """Measure every subject at every concurrency, `requests` each, in `ROUNDS` rounds."""
    everyone = subjects(ports)
    await _warm(everyone)
    rows: list[Row] = []
    for concurrency in levels:
        seconds: dict[str, list[float]] = {subject.name: [] for subject in everyone}
        spent = dict.fromkeys(seconds, 0.0)
        for turn in range(ROUNDS):
            for subject in everyone:
                _say(f"concurrency {concurrency}, round {turn + 1} of {ROUNDS}: {subject.name}")
                each = max(concurrency, requests // ROUNDS)
                began = asyncio.get_running_loop().time()
                seconds[subject.name] += await measure(
                    subject.port, each, concurrency, subject.next_request, subject.check
                )
                spent[subject.name] += asyncio.get_running_loop().time() - began
        rows += _rows(concurrency, seconds, spent)
    return rows


async def _warm(everyone: list[Subject]) -> None:
    """Fill the cache with the question, wake every process, let the write queue empty."""
    for subject in everyone[:3]:
        await measure(subject.port, 20, 1, subject.next_request, lambda response: True)
    hit = everyone[3]
    async with asyncio.timeout(10):
        while True:
            answers: list[bool] = []
            await measure(
                hit.port,
                1,
                1,
                hit.next_request,
                lambda r, a=answers: a.append(hit.check(r)) or True,  # type: ignore[misc]
            )
            if answers[0]:
                break
    for subject in everyone[3:]:
        await measure(subject.port, 20, 1, subject.next_request, subject.check)


def _rows(concurrency: int, seconds: dict[str, list[float]], spent: dict[str, float]) -> list[Row]:
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    alone, empty, *_ = medians.values()
    return [
        Row(
            subject=name,
            concurrency=concurrency,
            p50=1e3 * medians[name],
            p99=1e3 * statistics.quantiles(values, n=100)[98],
            per_second=len(values) / spent[name],
            added=1e3 * (medians[name] - alone),
            ratio=(medians[name] - alone) / (empty - alone),
        )
        for name, values in seconds.items()
    ]


def _say(line: str) -> None:
    sys.stderr.write(f"  {line}\n")
    sys.stderr.flush()


def table(rows: list[Row]) -> str:
    lines = [
        f"{'c':>3}  {'subject':24}{'p50 ms':>9}{'p99 ms':>9}{'req/s':>8}{'added ms':>10}{'added / no-op':>15}"
    ]
    lines += [
        f"{r.concurrency:>3}  {r.subject:24}{r.p50:>9.2f}{r.p99:>9.2f}{r.per_second:>8.0f}"
        f"{r.added:>10.2f}{r.ratio:>15.2f}"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


def measures(rows: list[Row]) -> list[dict[str, object]]:
    """`{measure, value, unit}` for each figure."""
    found: list[dict[str, object]] = []
    for row in rows:
        place = f"{row.subject}, c={row.concurrency}"
        for name, value, unit in (
            ("p50", row.p50, "ms"),
            ("p99", row.p99, "ms"),
            ("throughput", row.per_second, "requests/s"),
            ("added", row.added, "ms"),
            ("added / no-op's added", row.ratio, "ratio"),
        ):
            found.append({"measure": f"{place}: {name}", "value": round(value, 4), "unit": unit})
    return found

"""`python -m bench.soak`: mixed load with faults for minutes or an hour: does the router stay as it was?

Clients ask, ask again, attack, send nonsense and leave at every moment (`soak_load`); one model fails in
five ways and its server is killed twice a minute; a Milvus server is paused now and then. Fails when an
outcome is wrong, a bound of the cache is broken, or memory or descriptors of the router's process grow.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from bench.soak_load import Client, Tally
from bench.soak_stack import MAX_BYTES, MAX_ENTRIES, Stack, paused, running
from router_extproc.base.errors import OperatorError

CLIENTS: Final = 8
MAX_SLOPE: Final = 1_000_000
"""Bytes of resident memory in 10,000 requests, after the warm-up."""

MAX_MORE_DESCRIPTORS: Final = 8
WARM_UP: Final = 0.25
"""Share of the run that is not judged: the cache fills, allocators find their size."""

FAULT_SECONDS: Final = 30.0
PAUSE_SECONDS: Final = 3.0
SETTLE_SECONDS: Final = 20.0
POINTS: Final = 300
"""Samples that the slope is computed from at most; its cost is their square."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What `/proc` and `/metrics` say of the router after `requests`: bytes, counts; `lags` has, by upper
    bound in seconds, how often the event loop was at most that late since its start."""

    requests: int
    resident: int
    descriptors: int
    entries: int
    held: int
    streams: int
    lags: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """`samples` are in the order of time; the last is of the time after the load."""

    seconds: float
    tally: Tally
    restarts: int
    pauses: int
    samples: Sequence[Sample]

    @property
    def judged(self) -> Sequence[Sample]:
        """The samples under load after the warm-up."""
        return self.samples[int(len(self.samples) * WARM_UP) : -1] or self.samples[-1:]

    def problems(self) -> list[str]:
        """What went wrong, one line each."""
        found = [f"{count} of {outcome}" for outcome, count in self.tally.unexpected().items()]
        if (entries := max(each.entries for each in self.samples)) > MAX_ENTRIES:
            found.append(f"{entries} entries in memory, more than {MAX_ENTRIES}")
        if (held := max(each.held for each in self.samples)) > MAX_BYTES:
            found.append(f"{held} bytes of entries in memory, more than {MAX_BYTES}")
        if (slope := self.slope) > MAX_SLOPE:
            found.append(f"resident memory grows by {slope:.0f} bytes in 10,000 requests")
        if (more := self.more_descriptors) > MAX_MORE_DESCRIPTORS:
            found.append(f"{more} more descriptors are open than after the warm-up")
        if left := self.samples[-1].streams:
            found.append(f"{left} streams are open {SETTLE_SECONDS:.0f} s after the load")
        return found

    @property
    def slope(self) -> float:
        """Bytes in 10,000 requests: the median of the slopes between all pairs of samples (Theil 1950,
        Sen 1968), which a few outliers do not move."""
        judged = self.judged[:: max(1, len(self.judged) // POINTS)]
        slopes = [
            (later.resident - earlier.resident) / (later.requests - earlier.requests) * 10_000
            for earlier, later in combinations(judged, 2)
            if later.requests > earlier.requests
        ]
        return statistics.median(slopes) if slopes else 0.0

    @property
    def more_descriptors(self) -> int:
        """Between the medians of the first and the last third of the judged samples."""
        third = max(1, len(self.judged) // 3)
        first, last = (
            statistics.median(each.descriptors for each in part)
            for part in (self.judged[:third], self.judged[-third:])
        )
        return int(last - first)

    def late(self, seconds: float) -> float:
        """The share of the event loop's turns, of those judged, that were more than `seconds` late."""
        first, last = dict(self.judged[0].lags), dict(self.samples[-1].lags)
        turns = last[float("inf")] - first[float("inf")]
        return 1.0 - (last[seconds] - first[seconds]) / turns if turns else 0.0

    def as_json(self) -> dict[str, object]:
        return {
            "seconds": round(self.seconds, 1),
            "requests": self.tally.requests,
            "hits": self.tally.hits,
            "servers_killed": self.restarts,
            "milvus_paused": self.pauses,
            "outcomes": {
                f"{kind}: {outcome}": count for (kind, outcome), count in sorted(self.tally.outcomes.items())
            },
            "most_entries": max(each.entries for each in self.samples),
            "most_bytes": max(each.held for each in self.samples),
            "resident_mib": [each.resident >> 20 for each in (self.judged[0], self.samples[-1])],
            "slope_bytes_per_10000": round(self.slope),
            "descriptors": [each.descriptors for each in (self.judged[0], self.samples[-1])],
            "unscreened": sum(
                count for (_, outcome), count in self.tally.outcomes.items() if outcome == "unscreened"
            ),
            "loop_later_than_10_ms": round(self.late(0.01), 6),
            "loop_later_than_50_ms": round(self.late(0.05), 6),
            "loop_later_than_250_ms": round(self.late(0.25), 6),
            "problems": self.problems(),
        }


async def soak(stack: Stack, seconds: float, rate: float | None) -> Report:
    """Load, faults and samples until the time is over. `rate` is the most requests in a second."""
    began = time.monotonic()
    tally, samples = Tally(), list[Sample]()
    restarts = pauses = 0

    def left() -> float:
        return seconds - (time.monotonic() - began)

    async def work(seed: int, session: aiohttp.ClientSession) -> None:
        client, due = Client(stack.envoy, session, tally, seed), time.monotonic()
        while left() > 0:
            await client.once()
            if rate is not None:
                due = max(due + CLIENTS / rate, time.monotonic() - 1.0)
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def fail() -> None:
        nonlocal restarts, pauses
        while left() > FAULT_SECONDS:
            await asyncio.sleep(FAULT_SECONDS)
            await stack.restart_failing()
            restarts += 1
            if stack.milvus is not None:
                with paused(stack.milvus):
                    await asyncio.sleep(PAUSE_SECONDS)
                pauses += 1

    async def watch() -> None:
        while left() > 0:
            samples.append(await sample(stack, tally.requests))
            _say(seconds - left(), seconds, tally, samples[-1])
            await asyncio.sleep(min(5.0, max(0.2, seconds / 100)))

    connector = aiohttp.TCPConnector(limit=2 * CLIENTS)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        group.create_task(watch())
        group.create_task(fail())
        for seed in range(CLIENTS):
            group.create_task(work(seed, session))
    samples.append(await settled(stack, tally.requests))
    return Report(time.monotonic() - began, tally, restarts, pauses, samples)


async def settled(stack: Stack, requests: int) -> Sample:
    """The router when no stream is open any more, or as it is after `SETTLE_SECONDS`."""
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        now = await sample(stack, requests)
        if not now.streams or time.monotonic() > until:
            return now
        await asyncio.sleep(0.2)


async def sample(stack: Stack, requests: int) -> Sample:
    timeout = aiohttp.ClientTimeout(total=10)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(f"http://127.0.0.1:{stack.metrics}/metrics") as response,
    ):
        families = {each.name: each for each in text_string_to_metric_families(await response.text())}
    memory = {"backend": "memory"}
    entries = [each for each in families["llm_cache_entries_total"].samples if each.labels == memory]
    process = Path(f"/proc/{stack.router.process.pid}")
    # proc(5), statm: the second field.
    pages = int((process / "statm").read_text().split()[1])
    lags = families["router_event_loop_lag_seconds"].samples
    return Sample(
        requests,
        pages * os.sysconf("SC_PAGE_SIZE"),
        len(os.listdir(process / "fd")),
        int(sum(each.value for each in entries)),
        int(families["router_cache_bytes"].samples[0].value),
        int(families["router_streams"].samples[0].value),
        tuple((float(each.labels["le"]), each.value) for each in lags if each.name.endswith("_bucket")),
    )


def _say(at: float, seconds: float, tally: Tally, now: Sample) -> None:
    wrong = "  ".join(f"WRONG {count} of {outcome}" for outcome, count in tally.unexpected().items())
    sys.stderr.write(
        f"  {at:5.0f} of {seconds:.0f} s  {tally.requests} requests  {tally.hits} hits  "
        f"{now.entries} entries  {now.resident >> 20} MiB  {now.descriptors} descriptors  {wrong}\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument(
        "--backend",
        choices=("memory", "hybrid", "milvus"),
        default="memory",
        help="hybrid is memory before Milvus Lite, milvus a server of this machine (default: memory)",
    )
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default: 600)")
    parser.add_argument("--rate", type=float, help="requests in a second, at most (default: no limit)")
    options = parser.parse_args()

    async def run() -> Report:
        with tempfile.TemporaryDirectory(prefix="router-extproc-soak-") as folder:
            async with running(Path(folder), options.backend) as stack:
                return await soak(stack, options.seconds, options.rate)

    # Ended by a signal, it still ends what it started; a shell starts background jobs with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        report = asyncio.run(run())
    except OperatorError as error:
        sys.stderr.write(f"soak: {error}\n")
        return 1
    sys.stdout.write(json.dumps(report.as_json(), indent=1) + "\n")
    return 1 if report.problems() else 0


if __name__ == "__main__":
    sys.exit(main())

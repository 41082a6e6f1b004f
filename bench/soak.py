"""`python -m bench.soak`: the whole stack under load for minutes, and whether its memory stays in its bounds.

Most questions are new, of lengths from a line to several kilobytes, so that the cache is always full and
always giving up entries; the rest are asked again. Fails when a bound of the cache is broken, when a request
fails, or when the router's memory still grows once the cache is full.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.load import Connection, Response, post
from bench.stack import Ports, running
from router_extproc.base.errors import OperatorError

MAX_ENTRIES = 1_500
MAX_BYTES = 8 * 1024 * 1024
MAX_GROWTH = 64 * 1024 * 1024
"""Between the medians of the run's second and last quarter: allocators and Milvus Lite breathe."""

CONCURRENCY = 4
ANSWER_SECONDS = 30.0
WORDS = (
    "energy water forest river engine signal market garden bridge winter copper violin letter planet".split()
)


@dataclass(frozen=True, slots=True)
class Sample:
    """Bytes, and what the router's gauges said, at `at` seconds of the run."""

    at: float
    resident: int
    entries: int
    held: int


@dataclass(frozen=True, slots=True)
class Report:
    seconds: float
    requests: int
    hits: int
    samples: list[Sample]

    def problems(self) -> list[str]:
        """What went wrong, one line each."""
        found = []
        most_entries = max(sample.entries for sample in self.samples)
        most_held = max(sample.held for sample in self.samples)
        if most_entries > MAX_ENTRIES:
            found.append(f"{most_entries} entries in memory, more than {MAX_ENTRIES}")
        if most_held > MAX_BYTES:
            found.append(f"{most_held} bytes of entries in memory, more than {MAX_BYTES}")
        if self.growth > MAX_GROWTH:
            found.append(f"resident memory grew by {self.growth} bytes while the cache was full")
        return found

    @property
    def growth(self) -> int:
        quarter = max(1, len(self.samples) // 4)
        early = [sample.resident for sample in self.samples[quarter : 2 * quarter]]
        late = [sample.resident for sample in self.samples[-quarter:]]
        return int(statistics.median(late) - statistics.median(early or late))

    def as_json(self) -> dict[str, object]:
        return {
            "seconds": round(self.seconds, 1),
            "requests": self.requests,
            "hits": self.hits,
            "most_entries": max(sample.entries for sample in self.samples),
            "max_entries": MAX_ENTRIES,
            "most_bytes": max(sample.held for sample in self.samples),
            "max_bytes": MAX_BYTES,
            "resident_first_mib": self.samples[0].resident >> 20,
            "resident_last_mib": self.samples[-1].resident >> 20,
            "growth_mib": round(self.growth / 2**20, 1),
            "problems": self.problems(),
        }


def questions(seed: int) -> Callable[[], bytes]:
    """Requests: four of five are new."""
    chance = random.Random(seed)
    asked: list[bytes] = []

    def next_request() -> bytes:
        if asked and chance.random() < 0.2:
            return chance.choice(asked)
        length = chance.choices((8, 20, 60, 150, 1500), (8, 6, 3, 2, 1))[0]
        words = " ".join(chance.choice(WORDS) for _ in range(length))
        text = f"Question {chance.getrandbits(48)}: what joins {words}?"
        body = {"model": "auto", "messages": [{"role": "user", "content": text}], "temperature": 0.7}
        request = post(json.dumps(body).encode())
        asked.append(request)
        del asked[:-200]
        return request

    return next_request


async def soak(ports: Ports, seconds: float) -> Report:
    """Load and samples until the time is over. Raises RuntimeError when a request fails."""
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    next_request = questions(1)
    counts = {"requests": 0, "hits": 0}
    samples: list[Sample] = []

    async def worker() -> None:
        _, connection = await loop.create_connection(Connection, "127.0.0.1", ports.router)
        try:
            while time.monotonic() - began < seconds:
                async with asyncio.timeout(ANSWER_SECONDS):
                    response: Response = await connection.send(next_request())
                if response.status != 200:
                    raise RuntimeError(f"a request failed: {response.head[:200]!r}")
                counts["requests"] += 1
                counts["hits"] += b"x-vsr-cache-hit: true" in response.head
        finally:
            connection.close()

    async def watch() -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            while (at := time.monotonic() - began) < seconds:
                samples.append(await sample(session, ports, at))
                sys.stderr.write(
                    f"  {at:5.0f} of {seconds:.0f} s  {counts['requests']} requests  {counts['hits']} hits  "
                    f"{samples[-1].entries} entries  {samples[-1].resident >> 20} MiB\n"
                )
                await asyncio.sleep(min(5.0, max(0.1, seconds / 40)))

    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        for _ in range(CONCURRENCY):
            group.create_task(worker())
    return Report(time.monotonic() - began, counts["requests"], counts["hits"], samples)


async def sample(session: aiohttp.ClientSession, ports: Ports, at: float) -> Sample:
    """What `/proc` and `/metrics` say of the router now."""
    pages = _resident_pages(ports.router_pid)
    async with session.get(f"http://127.0.0.1:{ports.metrics}/metrics") as response:
        lines = (await response.text()).splitlines()
    gauges = {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in lines}
    return Sample(
        at,
        pages * os.sysconf("SC_PAGE_SIZE"),
        int(float(gauges['llm_cache_entries_total{backend="memory"}'])),
        int(float(gauges["router_cache_bytes"])),
    )


def _resident_pages(pid: int) -> int:
    """proc(5), statm: the second field."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument(
        "--backend",
        choices=("memory", "hybrid"),
        default="memory",
        help="hybrid is memory before Milvus Lite, which keeps deleted rows for a while (default: memory)",
    )
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default: 600)")
    options = parser.parse_args()

    async def run() -> Report:
        with tempfile.TemporaryDirectory(prefix="router-extproc-soak-") as folder:
            cache = {"max_entries": MAX_ENTRIES, "max_bytes": MAX_BYTES, "backend_type": options.backend}
            if options.backend == "memory":
                cache["backend_config_path"] = None
            async with running(Path(folder), cache) as ports:
                return await soak(ports, options.seconds)

    try:
        report = asyncio.run(run())
    except OperatorError as error:
        sys.stderr.write(f"soak: {error}\n")
        return 1
    sys.stdout.write(json.dumps(report.as_json(), indent=1) + "\n")
    return 1 if report.problems() else 0


if __name__ == "__main__":
    sys.exit(main())

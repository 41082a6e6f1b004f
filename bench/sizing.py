"""How many workers, cores, gigabytes and connections a rate of requests takes: the arithmetic of
`docs/SCALING.md`, whose tables this prints. A test compares.

`python -m bench.sizing docs/SCALING.md` writes them anew. Waiting is simulated, with a fixed seed, because
the service times of a mix of prompts fit no formula: requests come at random and go to the less busy of two
workers (as Envoy's LEAST_REQUEST chooses), and each worker serves one after the other.
"""

import heapq
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Final

BEGIN, END = "<!-- sizes -->\n", "<!-- end of sizes -->\n"
SEED: Final = 1
ARRIVALS: Final = 60_000
WARM_SHARE: Final = 0.2
MOST_SIMULATED: Final = 64
"""Workers. With more at the same utilisation waiting only gets shorter."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured (`bench/RESULTS.md`): milliseconds of one core, and MiB."""

    exact_hit: float = 1.5
    """Of a worker: no encoder, two messages. Estimated."""
    handling: float = 4.0
    """Of a worker, of every request that is read: messages, parsing, deciding, recording the answer."""
    passes: tuple[tuple[int, float, float], ...] = (
        (16, 0.5, 4.8),
        (64, 0.3, 9.9),
        (128, 0.15, 21.7),
        (512, 0.05, 128.0),
    )
    """Tokens of the question, its share of the requests, and the encoder's pass with all judgements."""
    verifier: float = 12.0
    """For one candidate, by the mix of lengths up to 64 tokens; longer ones are rarely near another."""
    verified: float = 0.3
    """Candidates that come to the verifier for each lookup by meaning. Estimated."""
    envoy: float = 1.6
    """Of Envoy, of a request with its ext_proc stream."""
    worker_mib: float = 300.0
    """Resident, with an encoder and 1,000 entries."""
    stream_kib: float = 40.0
    """Of a worker, of a stream that is open while the model answers. Estimated."""


@dataclass(frozen=True, slots=True)
class Load:
    """`rate` in requests per second; shares of them that are answered word for word, and by meaning."""

    rate: float
    exact: float = 0.15
    semantic: float = 0.15
    answer_seconds: float = 10.0
    request_kib: float = 8.0
    answer_kib: float = 8.0
    utilisation: float = 0.6
    """Of a worker's core, at most: what is above is for bursts, and for the replicas being replaced."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a load takes. Rates per second."""

    core_ms: float
    workers: int
    memory_gib: float
    envoy_cores: float
    streams: int
    searches: float
    writes: float
    gigabits: float
    wait_p50_ms: float
    wait_p99_ms: float


def service_ms(load: Load, costs: Costs) -> list[tuple[float, float]]:
    """Each kind of request: its share, and what it takes of a worker's core."""
    kinds = [(load.exact, costs.exact_hit)]
    read = 1 - load.exact
    for _, share, encoder in costs.passes:
        kinds.append((read * share, costs.handling + encoder + costs.verified * costs.verifier))
    return kinds


def size_of(load: Load, costs: Costs) -> Size:
    kinds = service_ms(load, costs)
    mean = sum(share * each for share, each in kinds)
    workers = max(2, math.ceil(load.rate * mean / 1000 / load.utilisation))
    misses = load.rate * (1 - load.exact - load.semantic)
    streams = misses * load.answer_seconds
    memory = workers * costs.worker_mib / 1024 + streams * costs.stream_kib / 1024**2
    # A request goes to the worker and comes back changed; an answer that may be stored goes there too.
    kib = (
        load.rate * 4 * load.request_kib
        + misses * 3 * load.answer_kib
        + (load.rate - misses) * 2 * load.answer_kib
    )
    busy = load.rate * mean / 1000 / workers
    waits = simulated_waits(kinds, min(workers, MOST_SIMULATED), busy)
    return Size(
        core_ms=mean,
        workers=workers,
        memory_gib=memory,
        envoy_cores=load.rate * costs.envoy / 1000 / load.utilisation,
        streams=round(streams),
        searches=load.rate * (1 - load.exact),
        writes=misses,
        gigabits=kib * 8 / 1e6,
        wait_p50_ms=waits[len(waits) // 2],
        wait_p99_ms=waits[len(waits) * 99 // 100],
    )


def simulated_waits(kinds: list[tuple[float, float]], workers: int, utilisation: float) -> list[float]:
    """Milliseconds from the arrival until a worker begins, sorted."""
    random = Random(SEED)
    shares, times = [share for share, _ in kinds], [each for _, each in kinds]
    mean = sum(share * each for share, each in kinds)
    between = mean / (workers * utilisation)
    free = [0.0] * workers
    open_until: list[list[float]] = [[] for _ in range(workers)]
    now, waits = 0.0, []
    for service in random.choices(times, shares, k=ARRIVALS):
        now += random.expovariate(1 / between)
        chosen = _less_busy(random, open_until, now)
        begin = max(now, free[chosen])
        free[chosen] = begin + service
        heapq.heappush(open_until[chosen], free[chosen])
        waits.append(begin - now)
    return sorted(waits[int(WARM_SHARE * ARRIVALS) :])


def _less_busy(random: Random, open_until: list[list[float]], now: float) -> int:
    first, second = random.randrange(len(open_until)), random.randrange(len(open_until))
    for each in (first, second):
        while open_until[each] and open_until[each][0] <= now:
            heapq.heappop(open_until[each])
    return first if len(open_until[first]) <= len(open_until[second]) else second


def tables(costs: Costs | None = None) -> str:
    return "\n".join(_lines(costs or Costs())) + "\n"


def _lines(costs: Costs) -> Iterator[str]:
    sizes = {rate: size_of(Load(rate), costs) for rate in (10.0, 1_000.0, 100_000.0)}
    yield "| | " + " | ".join(f"{rate:,.0f} requests/s" for rate in sizes) + " |"
    yield "|---|" + "---|" * len(sizes)
    rows: dict[str, Callable[[Size], str]] = {
        "of a core, one request, in ms": lambda s: f"{s.core_ms:.1f}",
        "workers, of one core each": lambda s: f"{s.workers:,}",
        "memory of all workers, in GiB": lambda s: f"{s.memory_gib:,.1f}",
        "cores of Envoy": lambda s: f"{s.envoy_cores:,.1f}",
        "streams in flight": lambda s: f"{s.streams:,}",
        "Milvus: searches/s": lambda s: f"{s.searches:,.0f}",
        "Milvus: writes/s": lambda s: f"{s.writes:,.0f}",
        "network, all hops, in Gbit/s": lambda s: f"{s.gigabits:,.2f}",
        "wait for a worker, p50 / p99, in ms": lambda s: f"{s.wait_p50_ms:.1f} / {s.wait_p99_ms:.0f}",
    }
    for name, cell in rows.items():
        yield f"| {name} | " + " | ".join(cell(size) for size in sizes.values()) + " |"
    yield ""
    yield "| at 1,000 requests/s, answered from the cache | workers | Milvus writes/s | streams in flight |"
    yield "|---|---|---|---|"
    for exact, semantic in ((0.0, 0.0), (0.15, 0.15), (0.3, 0.2), (0.6, 0.2)):
        size = size_of(replace(Load(1_000.0), exact=exact, semantic=semantic), costs)
        yield (
            f"| {exact:.0%} word for word, {semantic:.0%} by meaning | {size.workers} | {size.writes:,.0f} | "
            f"{size.streams:,} |"
        )
    yield ""
    yield "| utilisation of the workers | wait p99 with 2 workers, ms | with 16 | with 64 |"
    yield "|---|---|---|---|"
    kinds = service_ms(Load(1.0), costs)
    for busy in (0.3, 0.5, 0.6, 0.7, 0.8, 0.9):
        waits = [simulated_waits(kinds, workers, busy) for workers in (2, 16, 64)]
        yield f"| {busy:.0%} | " + " | ".join(f"{each[len(each) * 99 // 100]:.0f}" for each in waits) + " |"


def put(page: str, costs: Costs | None = None) -> str:
    """`page` with the tables in place of what was between the markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables(costs)}\n{END}{after}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(put(path.read_text()))

"""What a second worker brings: routed misses through one and through two workers, in turn in one run.

On two processors, load generator, Envoy and the model take what a second worker would need. So each worker
is also measured as if it had a processor of its own that is SHARE as fast: it runs in its own slots of time
and in no others, so that no two workers ever run at the same time, whatever else does. What is left of a
processor's speed in such slots is the same for one worker and for two; so the ratio of both throughputs is
what processors of their own would give. Processor time per request says whether the work itself grows.
"""

import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from bench.load import Response, measure, post
from bench.proxy import QUESTION, body
from bench.stack import STOP_SECONDS, free_ports, write_configuration
from router_extproc.app.configuration import load, topology_of
from router_extproc.envoyconf.render import render_envoy
from router_extproc.server.http import probe
from router_extproc.supervisor.envoy import envoy_command, envoy_program
from router_extproc.supervisor.process import Child
from router_extproc.supervisor.wait import until

COUNTS: Final = (1, 2)
ROUNDS: Final = 3
REQUESTS: Final = 150
CONCURRENCY: Final = 16
START_SECONDS: Final = 180.0
SLOT_SECONDS: Final = 0.03
SLOTS: Final = 4
"""Each worker has one of them."""

SHARE: Final = 1 / SLOTS
TICK: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Stack:
    """So many workers behind an Envoy of their own; processes by what they are."""

    port: int
    workers: Sequence[int]
    others: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Row:
    """Medians over the rounds. Milliseconds of the processor for each request: of all workers together, and
    of the processes beside them."""

    workers: int
    alone: bool
    """In slots of its own; otherwise all share the processors."""
    per_second: float
    workers_ms: float
    others_ms: Mapping[str, float]


async def run() -> list[Row]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rx-")))
        (upstream,) = free_ports(1)
        model = await _child(stack, folder, "upstream", sys.executable, "-m", "bench.upstream", str(upstream))
        _say("starting one router with one worker and one with two")
        stacks = {
            number: await stack.enter_async_context(_running(folder / str(number), number, upstream, model))
            for number in COUNTS
        }
        numbers = count()
        for each in stacks.values():
            await _ask(each, 40, numbers)
        found: dict[tuple[int, bool], list[Row]] = {}
        for turn in range(ROUNDS):
            for alone in (False, True):
                for number, each in stacks.items():
                    _say(f"round {turn + 1} of {ROUNDS}: {number} workers{', in slots' if alone else ''}")
                    found.setdefault((number, alone), []).append(await _round(each, alone, numbers))
        return [_median(rows) for rows in found.values()]


@asynccontextmanager
async def _running(folder: Path, number: int, upstream: int, model: int) -> AsyncIterator[Stack]:
    await asyncio.to_thread(folder.mkdir)
    envoy, api, metrics = free_ports(3)
    config = write_configuration(
        folder,
        upstream,
        {"envoy": envoy, "api": api, "metrics": metrics, "ext_proc": "s"},
        {"backend_type": "memory", "backend_config_path": None, "max_entries": 20_000},
        encoder={"threads": 1},
        page={"enabled": False},
        workers=number,
    )
    async with AsyncExitStack() as stack:
        serve = (sys.executable, "-m", "router_extproc", "serve", "--config", str(config))
        parent = await _child(stack, folder, "router", *serve)
        path = folder / "envoy.yaml"
        path.write_text(render_envoy(topology_of(load(config))))
        proxy = await _child(
            stack, folder, "envoy", *envoy_command(envoy_program(), path), "--concurrency", "1"
        )
        ready = f"http://127.0.0.1:{api}/ready"
        await until(probe(ready, 3.0), "the router", START_SECONDS)
        workers = [parent] if number == 1 else _workers_of(parent)
        yield Stack(envoy, workers, {"Envoy": proxy, "model": model, "generator": os.getpid()})


async def _child(stack: AsyncExitStack, folder: Path, name: str, *command: str) -> int:
    child = await Child.start(name, command, folder / f"{name}.log")
    stack.push_async_callback(child.stop, STOP_SECONDS)
    return child.process.pid


def _workers_of(parent: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


async def _round(stack: Stack, alone: bool, numbers: Iterator[int]) -> Row:
    processes = {**{f"worker {pid}": pid for pid in stack.workers}, **stack.others}
    before = {name: cpu_seconds(pid) for name, pid in processes.items()}
    slots = asyncio.create_task(in_slots(stack.workers)) if alone else None
    began = time.monotonic()
    try:
        await _ask(stack, REQUESTS, numbers)
    finally:
        seconds = time.monotonic() - began
        if slots is not None:
            slots.cancel()
            await asyncio.wait({slots})
    spent = {name: 1e3 * (cpu_seconds(pid) - before[name]) / REQUESTS for name, pid in processes.items()}
    return Row(
        workers=len(stack.workers),
        alone=alone,
        per_second=REQUESTS / seconds,
        workers_ms=sum(value for name, value in spent.items() if name not in stack.others),
        others_ms={name: spent[name] for name in stack.others},
    )


async def in_slots(pids: Sequence[int]) -> None:
    """Until cancelled, let each of `pids` run in a slot of its own of SLOTS, and stop it in the others."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        for slot in count():
            turn = pids[slot % SLOTS] if slot % SLOTS < len(pids) else None
            if turn is not None:
                os.kill(turn, signal.SIGCONT)
            await asyncio.sleep(SLOT_SECONDS)
            if turn is not None:
                os.kill(turn, signal.SIGSTOP)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def _ask(stack: Stack, requests: int, numbers: Iterator[int]) -> None:
    """Questions that nobody asked before: the guard compares numbers."""

    def unseen() -> bytes:
        return post(body(f"{QUESTION[:-1]} in region {next(numbers)}?"))

    def routed(response: Response) -> bool:
        return b"x-vsr-selected-model" in response.head and b"x-vsr-cache-hit" not in response.head

    await measure(stack.port, requests, CONCURRENCY, unseen, routed)


def cpu_seconds(pid: int) -> float:
    """Of the process and its threads, so far: utime and stime (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def _median(rows: Sequence[Row]) -> Row:
    return Row(
        workers=rows[0].workers,
        alone=rows[0].alone,
        per_second=statistics.median(row.per_second for row in rows),
        workers_ms=statistics.median(row.workers_ms for row in rows),
        others_ms={
            name: statistics.median(row.others_ms[name] for row in rows) for name in rows[0].others_ms
        },
    )


def ratio(rows: Sequence[Row], alone: bool) -> float:
    """Throughput of the most workers over that of one."""
    chosen = {row.workers: row.per_second for row in rows if row.alone == alone}
    return chosen[max(chosen)] / chosen[1]


def table(rows: Sequence[Row]) -> str:
    lines = [
        f"{'workers':>8}  {'each has':28}{'req/s':>8}{'ratio':>7}{'ms of CPU a request: workers':>30}"
        f"{'Envoy':>8}{'model':>8}{'generator':>11}"
    ]
    for row in sorted(rows, key=lambda row: (row.alone, row.workers)):
        first = next(each for each in rows if each.alone == row.alone and each.workers == 1)
        has = f"{SHARE:g} of one, for itself" if row.alone else "what the others leave"
        others = row.others_ms
        lines.append(
            f"{row.workers:>8}  {has:28}{row.per_second:>8.1f}{row.per_second / first.per_second:>7.2f}"
            f"{row.workers_ms:>30.2f}{others['Envoy']:>8.2f}{others['model']:>8.2f}{others['generator']:>11.2f}"
        )
    return "\n".join(lines) + "\n"


def measures(rows: Sequence[Row]) -> list[dict[str, object]]:
    """`{measure, value, unit}` for each figure."""
    found: list[dict[str, object]] = []
    for row in rows:
        place = f"{row.workers} workers, {'in slots' if row.alone else 'sharing'}"
        figures = [
            ("throughput", row.per_second, "requests/s"),
            ("workers' CPU", row.workers_ms, "ms/request"),
        ]
        figures += [(f"{name}'s CPU", value, "ms/request") for name, value in row.others_ms.items()]
        found += [
            {"measure": f"{place}: {name}", "value": round(value, 4), "unit": unit}
            for name, value, unit in figures
        ]
    for alone in (False, True):
        found.append(
            {
                "measure": f"throughput of two workers over one, {'in slots' if alone else 'sharing'}",
                "value": round(ratio(rows, alone), 4),
                "unit": "ratio",
            }
        )
    return found


def _say(line: str) -> None:
    sys.stderr.write(f"  {line}\n")
    sys.stderr.flush()

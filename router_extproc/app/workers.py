"""The parent of several workers: starts them, starts again what ended, and speaks for all of them to people,
orchestrators and Prometheus. It reads no request: Envoy sends each to one of the workers.
"""

import asyncio
import logging
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

from router_extproc.app.certificates import certificates_of
from router_extproc.app.configuration import Configuration, listened, processes_of
from router_extproc.app.public import serve_public
from router_extproc.app.stopping import Stop
from router_extproc.app.token import admin_token
from router_extproc.base.errors import OperatorError
from router_extproc.server.gathered import Gathered
from router_extproc.server.listener import RELEASE_SECONDS
from router_extproc.settings.problem import grouped
from router_extproc.settings.schema import Settings
from router_extproc.supervisor.keep import Pace, kept_running
from router_extproc.supervisor.process import Child
from router_extproc.telemetry.gathered import WorkerMetrics
from router_extproc.telemetry.labels import Listening

log = logging.getLogger(__name__)

START_SECONDS: Final = 120.0
"""The longest the first start of all workers may take: each loads its models, on a busy machine in turn."""

LOOK_SECONDS: Final = 0.5
"""Between two looks at the workers."""

ENVOY_SECONDS: Final = 30.0
"""A worker that takes streams for so long, and that Envoy does not know, is told of in the log."""

MARGIN_SECONDS: Final = 10.0
"""For a worker to write what is pending, beside the times that it was given."""

MOST_UNANSWERED: Final = 12
"""Questions, one every 10 s: a start may take as long."""

FIRST_WAIT: Final = 0.5
"""Before a worker is started again for the first time."""


class Crew:
    """The workers of one configuration, while they run. `log_file` is theirs, by default our stderr."""

    def __init__(self, configuration: Configuration, folder: Path, log_file: Path | None) -> None:
        self._configuration = configuration
        self._log_file = log_file
        self._count = configuration.settings.workers
        self._sockets = [folder / f"worker-{number}.sock" for number in range(self._count)]
        self._children: dict[int, Child] = {}
        self._taking: set[int] = set()
        self._unknown: dict[int, float] = {}
        """Since when a worker takes streams of which Envoy knows nothing; inf once that was told."""
        self._known: set[int] = set()
        """Those that Envoy has known at some time: all of them, then the router is ready."""
        self._started = False
        self._leaving = False
        self.metrics = WorkerMetrics(self._count)
        self.api = Gathered(self._sockets, self.taking, self._checks)

    def taking(self) -> Sequence[int]:
        """The workers that take streams now."""
        return sorted(self._taking)

    def _checks(self) -> dict[str, bool]:
        """At first Envoy has to know all of them. Later one is enough: a worker that is started again must
        not take the others out of service."""
        return {
            "envoy": len(self._known) == self._count,
            "accepting": bool(self._taking) and not self._leaving,
        }

    async def exposition(self) -> bytes:
        return self.metrics.exposition(await self.api.expositions())

    async def start(self, stack: AsyncExitStack, stop: asyncio.Event) -> None:
        """Returns when all take streams, or `stop` is set; they run until `stack` is left. Raises
        OperatorError when one ends before that, or when it takes too long."""
        pace = Pace(first_wait=FIRST_WAIT, stop=MARGIN_SECONDS, most_unanswered=MOST_UNANSWERED)
        keepers = [
            asyncio.create_task(
                kept_running(
                    partial(self._spawn, number),
                    partial(self._answers, number),
                    pace,
                    partial(self._ended, number),
                ),
                name=f"worker-{number}",
            )
            for number in range(self._count)
        ]
        stack.push_async_callback(_end, keepers)
        stack.callback(self.leave, signal.SIGINT)
        try:
            async with asyncio.timeout(START_SECONDS):
                while len(self._taking) < self._count and not stop.is_set():
                    done, _ = await asyncio.wait(keepers, timeout=LOOK_SECONDS / 5)
                    for keeper in done:
                        await keeper
                    await self._look()
        except TimeoutError:
            late = sorted({*range(self._count)} - self._taking)
            raise OperatorError(
                f"worker {', '.join(map(str, late))}: not ready within {START_SECONDS:.0f} s; fewer workers, "
                "or more processors and memory for them, start sooner"
            ) from None
        self._started = True
        looking = asyncio.create_task(self._keep_looking(), name="workers-watch")
        stack.push_async_callback(_end, [looking])

    def leave(self, number: int) -> None:
        """Not ready any more; the workers get the signal `number`, and those that have not begun to serve the
        one that ends them without a word."""
        self._leaving = True
        for worker, child in self._children.items():
            if child.process.returncode is None:
                child.process.send_signal(number if worker in self._taking else signal.SIGTERM)

    async def gone(self) -> None:
        """Returns when no worker runs any more."""
        await asyncio.gather(*(child.process.wait() for child in self._children.values()))

    async def _spawn(self, number: int) -> Child:
        if self._leaving:
            raise OperatorError(f"worker {number} is not started again: the router ends")
        configuration = self._configuration
        command = [
            *(sys.executable, "-m", "router_extproc.app.worker"),
            *("--config", str(configuration.path), "--workers", str(self._count)),
            *("--number", str(number), "--socket", str(self._sockets[number])),
            *(() if self._log_file is None else ("--log", str(self._log_file))),
        ]
        self._sockets[number].unlink(missing_ok=True)
        child = await Child.start(f"worker {number}", command, None, leash=True)
        self._children[number] = child
        return child

    async def _answers(self, number: int) -> bool:
        return await self.api.readiness(number) is not None

    def _ended(self, number: int, why: OperatorError) -> None:
        """Raises it where there is no use in another start: all are to end, or it never was ready."""
        self._taking.discard(number)
        self.metrics.up(number, False)
        if not self._started or self._leaving:
            raise why
        self.metrics.restarted(number)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._look()

    async def _look(self) -> None:
        said = await asyncio.gather(*(self.api.readiness(number) for number in range(self._count)))
        for number, each in enumerate(said):
            checks = {} if each is None else each["checks"]
            self._note(number, taking=bool(checks.get("accepting")), known=bool(checks.get("envoy")))

    def _note(self, number: int, *, taking: bool, known: bool) -> None:
        (self._taking.add if taking else self._taking.discard)(number)
        self.metrics.up(number, taking)
        if known:
            self._known.add(number)
        if known or not taking:
            self._unknown.pop(number, None)
            return
        now = asyncio.get_running_loop().time()
        if now - self._unknown.setdefault(number, now) >= ENVOY_SECONDS:
            self._unknown[number] = float("inf")
            place = listened(processes_of(self._configuration)[number])
            log.warning(
                "worker %s gets nothing from Envoy at %s; Envoy's configuration must be rendered with the "
                "same number of workers, %s (`render-envoy`)",
                number,
                place,
                self._count,
            )


@asynccontextmanager
async def crew(
    configuration: Configuration, stop: asyncio.Event, log_file: Path | None = None
) -> AsyncIterator[Crew]:
    """The workers, taking streams unless `stop` was set meanwhile, with the API, the page and the metrics of
    all of them. Leaving the context ends everything. Raises OperatorError."""
    settings = configuration.settings
    for line in grouped(configuration.warnings):
        log.warning("%s: %s", configuration.path, line)
    cache = settings.semantic_cache
    if cache.enabled and cache.backend_type == "memory":
        log.warning(
            "%s: semantic_cache.backend_type: each of the %s workers has a cache in memory of its own, and "
            "finds nothing that another has stored; a Milvus server is shared",
            configuration.path,
            settings.workers,
        )
    folder = Path(tempfile.mkdtemp(prefix="router-extproc-"))
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        members = Crew(configuration, folder, log_file)
        stack.push_async_callback(members.api.close)
        token = admin_token(configuration.path, settings)
        api = members.api
        certificates = await stack.enter_async_context(
            certificates_of(configuration, members.metrics.certificates, (Listening.API, Listening.METRICS))
        )
        await serve_public(
            stack, configuration, api.routes, token, members.exposition, certificates, [api.rest]
        )
        await members.start(stack, stop)
        if not stop.is_set():
            log.info("%s workers are serving", settings.workers)
        yield members


async def serve_workers(configuration: Configuration) -> None:
    """Until a signal. Raises OperatorError."""
    stop = Stop.at_signals()
    async with crew(configuration, stop.asked) as members:
        await stop.asked.wait()
        stop.when_hurried(lambda: members.leave(signal.SIGINT))
        members.leave(signal.SIGTERM if stop.drains else signal.SIGINT)
        # The API answers meanwhile: it says that the router is not ready.
        with suppress(TimeoutError):  # then whoever is left is killed
            async with asyncio.timeout(_most_seconds(configuration.settings)):
                await members.gone()


def _most_seconds(settings: Settings) -> float:
    shutdown = settings.shutdown
    return shutdown.drain_seconds + shutdown.grace_seconds + RELEASE_SECONDS + MARGIN_SECONDS


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    # What a keeper ended with was told, or is the end that was asked for.
    await asyncio.gather(*tasks, return_exceptions=True)

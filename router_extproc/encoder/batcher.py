"""The Analyst of the running router: a bounded queue in front of one worker thread.

Owns waiting, fairness, overload and shutdown. Knows nothing of onnxruntime or tokenisers. The thread
keeps the event loop free (the run and the tokeniser release the interpreter's lock).

Whatever waits when the thread becomes free goes to it in one hop, first come first served; nothing waits
for a batch to fill. Within the hop each text is run alone (see `session` for the figures) and answered
at once; a text whose caller has gone meanwhile is skipped.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from router_extproc.base.refusals import Failure
from router_extproc.base.vector import Vector
from router_extproc.encoder.session import Tokens
from router_extproc.ports import PortError
from router_extproc.routing.analysis import Analysis, Timings

DRAIN_SECONDS = 5.0
"""How long `close` waits for the text that is being run: a hundred times what the longest takes."""


class Encoder(Protocol):
    """What the queue needs of `session.SentenceEncoder`. Called from the worker thread."""

    @property
    def encoder(self) -> str: ...

    def tokenise(self, text: str) -> Tokens: ...

    def run(self, tokens: Tokens) -> Vector: ...


class Head(Protocol):
    def probabilities(self, vector: Vector) -> Mapping[str, float]: ...


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A text and who waits for its analysis."""

    text: str = field(repr=False)
    answer: asyncio.Future[Analysis]
    since: float


class BatchingAnalyst:
    """Implements `ports.Analyst`. Call `start` and `close` on the event loop that serves."""

    def __init__(
        self,
        encoder: Encoder,
        heads: Mapping[str, Head],
        max_queue: int = 256,
        worker: Executor | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`max_queue` bounds the texts that wait or run. `worker` must run one job at a time; by default
        it is a thread of this object's own. `clock` gives seconds, for the timings only."""
        self._encoder = encoder
        self._heads = heads
        self._max_queue = max_queue
        self._worker = worker or ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")
        self._clock = clock
        self._queue: dict[_Waiting, None] = {}
        self._running: list[_Waiting] = []
        self._pending = 0
        self._arrived = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._open = False

    @property
    def encoder(self) -> str:
        return self._encoder.encoder

    async def start(self) -> None:
        """Begin to serve. May be called once."""
        self._open = True
        self._serving = asyncio.create_task(self._serve(), name="encoder-queue")

    async def close(self) -> None:
        """Fail whoever waits with UNAVAILABLE and end the thread after the text it is at. May be called
        twice."""
        self._open = False
        for waiting in (*self._queue, *self._running):
            _fail(waiting.answer, PortError(Failure.UNAVAILABLE, "the encoder is shutting down"))
        self._queue.clear()
        self._arrived.set()
        if self._serving is not None:
            await asyncio.wait({self._serving}, timeout=DRAIN_SECONDS)
        self._worker.shutdown(wait=False, cancel_futures=True)

    async def analyse(self, text: str) -> Analysis:
        """Raises PortError: OVERLOADED at once when the queue is full, UNAVAILABLE before `start` and
        after `close`, INVALID when the encoder gives no usable vector. Safe to cancel."""
        if not self._open:
            raise PortError(Failure.UNAVAILABLE, "the encoder is not running")
        if self._pending >= self._max_queue:
            raise PortError(Failure.OVERLOADED, f"{self._max_queue} texts wait for the encoder")
        waiting = _Waiting(text, asyncio.get_running_loop().create_future(), self._clock())
        self._pending += 1
        self._queue[waiting] = None
        self._arrived.set()
        try:
            return await waiting.answer
        finally:
            # Under overload callers time out: their places must not count against those who still wait.
            self._pending -= 1
            self._queue.pop(waiting, None)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while self._open:
            await self._arrived.wait()
            self._arrived.clear()
            while self._queue:
                self._running = list(self._queue)
                self._queue.clear()
                await loop.run_in_executor(self._worker, self._run, loop, self._running)
                self._running = []

    def _run(self, loop: asyncio.AbstractEventLoop, group: list[_Waiting]) -> None:
        """In the worker thread. Reading `done` there needs no lock: late news only costs one run."""
        for waiting in group:
            if waiting.answer.done():
                continue
            try:
                analysis = self._analyse(waiting)
            except BaseException as error:
                loop.call_soon_threadsafe(_fail, waiting.answer, _for_caller(error))
            else:
                loop.call_soon_threadsafe(_answer, waiting.answer, analysis)

    def _analyse(self, waiting: _Waiting) -> Analysis:
        taken = self._clock()
        tokens = self._encoder.tokenise(waiting.text)
        tokenised = self._clock()
        vector = self._encoder.run(tokens)
        if not np.isfinite(vector).all():
            raise PortError(Failure.INVALID, "the encoder gave a vector that is not finite")
        heads = {name: head.probabilities(vector) for name, head in self._heads.items()}
        ran = self._clock()
        return Analysis(
            vector=vector,
            heads=heads,
            encoder=self._encoder.encoder,
            tokens=len(tokens.ids),
            truncated=tokens.truncated,
            timings=Timings(
                queue=1e3 * (taken - waiting.since),
                tokenise=1e3 * (tokenised - taken),
                run=1e3 * (ran - tokenised),
            ),
        )


def _for_caller(error: BaseException) -> Exception:
    """A panic in the tokeniser's Rust arrives as a BaseException: it would end the queue, not one call."""
    if isinstance(error, Exception):
        return error
    return PortError(Failure.INVALID, f"the encoder failed ({type(error).__name__})")


def _answer(answer: asyncio.Future[Analysis], analysis: Analysis) -> None:
    with suppress(asyncio.InvalidStateError):  # the caller has gone
        answer.set_result(analysis)


def _fail(answer: asyncio.Future[Analysis], error: Exception) -> None:
    with suppress(asyncio.InvalidStateError):  # the caller has gone
        answer.set_exception(error)

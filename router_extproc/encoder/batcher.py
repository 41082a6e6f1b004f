"""The Analyst of the running router: a bounded queue in front of one worker thread.

Owns waiting, fairness, overload and shutdown. Knows nothing of onnxruntime or tokenisers. The thread
keeps the event loop free (the run and the tokeniser release the interpreter's lock).

Whatever waits when the thread becomes free goes to it in one hop, first come first served; nothing waits
for a batch to fill. Within the hop each job, a text to be analysed or a pair to be compared, is run alone
(see `session` for the figures) and answered at once; one whose caller has gone meanwhile is skipped.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from math import isfinite
from typing import Any, Protocol, TypeVar

import numpy as np

from router_extproc.base.refusals import Failure
from router_extproc.base.vector import Vector
from router_extproc.encoder.session import Tokens
from router_extproc.ports import PortError
from router_extproc.routing.analysis import Analysis, Timings

DRAIN_SECONDS = 5.0
"""How long `close` waits for the job that is being run: a hundred times what the longest takes."""


class Encoder(Protocol):
    """What the queue needs of `session.SentenceEncoder`. Called from the worker thread."""

    @property
    def encoder(self) -> str: ...

    def tokenise(self, text: str) -> Tokens: ...

    def run(self, tokens: Tokens) -> Vector: ...


class Head(Protocol):
    def probabilities(self, vector: Vector) -> Mapping[str, float]: ...


class TextHead(Protocol):
    """A judgement of the text itself. Called from the worker thread."""

    def probabilities(self, text: str) -> Mapping[str, float]: ...


class Comparer(Protocol):
    """What the queue needs of `verifier.CrossEncoder`. Called from the worker thread."""

    def same(self, text: str, other: str) -> float | None: ...


T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A job and who waits for what it brings. `work` is given the time at which the job came."""

    work: Callable[[float], Any] = field(repr=False)
    answer: asyncio.Future[Any]
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
        text_heads: Mapping[str, TextHead] | None = None,
        verifier: Comparer | None = None,
    ) -> None:
        """`heads` judge the vector, `text_heads` the text; no name is in both. `max_queue` bounds the jobs
        that wait or run. `worker` must run one job at a time; by default it is a thread of this object's
        own. `clock` gives seconds, for the timings only."""
        self._encoder = encoder
        self._heads = heads
        self._text_heads = text_heads or {}
        self._max_queue = max_queue
        self._worker = worker or ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")
        self._clock = clock
        self._verifier = verifier
        self._queue: dict[_Waiting, None] = {}
        self._running: list[_Waiting] = []
        self._pending = 0
        self._arrived = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._open = False

    @property
    def encoder(self) -> str:
        return self._encoder.encoder

    def add_heads(self, on_vector: Mapping[str, Head], on_text: Mapping[str, TextHead]) -> None:
        """Judge by these too from now on; one of the same name takes the other's place."""
        self.replace_heads({**self._heads, **on_vector}, {**self._text_heads, **on_text})

    def replace_heads(self, on_vector: Mapping[str, Head], on_text: Mapping[str, TextHead]) -> None:
        """Judge by these only from now on."""
        self._heads, self._text_heads = on_vector, on_text

    async def start(self) -> None:
        """Begin to serve. May be called once."""
        self._open = True
        self._serving = asyncio.create_task(self._serve(), name="encoder-queue")

    async def close(self) -> None:
        """Fail whoever waits with UNAVAILABLE and end the thread after the job it is at. May be called
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
        return await self._wait(partial(self._analyse, text))

    async def same(self, text: str, other: str) -> float | None:
        """Raises PortError as `analyse` does: INVALID when the verifier gives no probability, UNAVAILABLE
        also when there is no verifier. Safe to cancel."""
        if self._verifier is None:
            raise PortError(Failure.UNAVAILABLE, "there is no verifier")
        return await self._wait(partial(self._compare, self._verifier, text, other))

    async def _wait(self, work: Callable[[float], T]) -> T:
        if not self._open:
            raise PortError(Failure.UNAVAILABLE, "the encoder is not running")
        if self._pending >= self._max_queue:
            raise PortError(Failure.OVERLOADED, f"{self._max_queue} jobs wait for the encoder")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(work, answer, self._clock())
        self._pending += 1
        self._queue[waiting] = None
        self._arrived.set()
        try:
            return await answer
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
                result = waiting.work(waiting.since)
            except BaseException as error:
                loop.call_soon_threadsafe(_fail, waiting.answer, _for_caller(error))
            else:
                loop.call_soon_threadsafe(_answer, waiting.answer, result)

    def _compare(self, verifier: Comparer, text: str, other: str, since: float) -> float | None:
        probability = verifier.same(text, other)
        if probability is not None and not (isfinite(probability) and 0 <= probability <= 1):
            raise PortError(Failure.INVALID, "the verifier gave something that is no probability")
        return probability

    def _analyse(self, text: str, since: float) -> Analysis:
        taken = self._clock()
        tokens = self._encoder.tokenise(text)
        tokenised = self._clock()
        vector = self._encoder.run(tokens)
        if not np.isfinite(vector).all():
            raise PortError(Failure.INVALID, "the encoder gave a vector that is not finite")
        heads = {name: head.probabilities(vector) for name, head in self._heads.items()}
        heads |= {name: head.probabilities(text) for name, head in self._text_heads.items()}
        ran = self._clock()
        return Analysis(
            vector=vector,
            heads=heads,
            encoder=self._encoder.encoder,
            tokens=len(tokens.ids),
            truncated=tokens.truncated,
            timings=Timings(
                queue=1e3 * (taken - since),
                tokenise=1e3 * (tokenised - taken),
                run=1e3 * (ran - tokenised),
            ),
        )


def _for_caller(error: BaseException) -> Exception:
    """A panic in the tokeniser's Rust arrives as a BaseException: it would end the queue, not one call."""
    if isinstance(error, Exception):
        return error
    return PortError(Failure.INVALID, f"the encoder failed ({type(error).__name__})")


def _answer(answer: asyncio.Future[Any], result: object) -> None:
    with suppress(asyncio.InvalidStateError):  # the caller has gone
        answer.set_result(result)


def _fail(answer: asyncio.Future[Any], error: Exception) -> None:
    with suppress(asyncio.InvalidStateError):  # the caller has gone
        answer.set_exception(error)

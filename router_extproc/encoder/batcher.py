"""The Analyst of the running router: a bounded queue in front of one worker thread.

Owns waiting, fairness, overload and shutdown. Knows nothing of onnxruntime or tokenisers. The thread
keeps the event loop free (the run and the tokeniser release the interpreter's lock).

Whatever waits when the thread becomes free goes to it in one hop, first come first served; nothing waits
for a batch to fill. Within the hop each job, a text to be analysed or a pair to be compared, is run alone
(see `session` for the figures) and answered at once; one whose caller has gone meanwhile is skipped.

Only what the caller needs is run: neither the encoder nor a head on the text for an answer nobody reads.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf, isfinite
from typing import Any, Protocol, TypeVar

import numpy as np

from router_extproc.base.refusals import Failure
from router_extproc.base.vector import Vector
from router_extproc.encoder.judging import Judge, judged
from router_extproc.encoder.session import Reading, Tokens
from router_extproc.ports import PortError
from router_extproc.routing.analysis import Analysis, Timings
from router_extproc.routing.compiled import Needs
from router_extproc.screening.policy import GUARD, PII
from router_extproc.screening.reading import Screening

DRAIN_SECONDS = 5.0
"""How long `close` waits for the job that is being run: a hundred times what the longest takes."""


class Encoder(Protocol):
    """What the queue needs of `session.SentenceEncoder`. Called from the worker thread."""

    @property
    def encoder(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def tokenise(self, text: str) -> Tokens: ...

    def run(self, tokens: Tokens) -> Reading: ...


class Guards(Protocol):
    """What the queue needs of `screener.Screener`. Called from the worker thread."""

    def screen_all(
        self, texts: Sequence[str], first: tuple[Tokens, Reading] | None, goes_on: Callable[[], bool]
    ) -> Screening: ...


class Comparer(Protocol):
    """What the queue needs of `verifier.CrossEncoder`. Called from the worker thread."""

    def same(self, text: str, other: str) -> float | None: ...


OnVector = Mapping[str, Judge[Vector]]
OnText = Mapping[str, Judge[str]]
"""Heads by name, called in the worker's thread; those "on the vector" are given all states of a pass."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A job and who waits for what it brings. `work` is given the time at which the job came."""

    work: Callable[[float], Any] = field(repr=False)
    answer: asyncio.Future[Any]
    since: float


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What to run for one text: the heads are those in force when it came."""

    vector: bool
    on_vector: OnVector
    on_text: OnText
    guards: tuple[str, ...] = ()
    others: tuple[str, ...] = field(default=(), repr=False)


class BatchingAnalyst:
    """Implements `ports.Analyst`. Call `start` and `close` on the event loop that serves."""

    def __init__(
        self,
        encoder: Encoder,
        heads: OnVector,
        max_queue: int = 256,
        worker: Executor | None = None,
        clock: Callable[[], float] = time.perf_counter,
        text_heads: OnText | None = None,
        verifier: Comparer | None = None,
        on_head_failure: Callable[[str, BaseException], None] = lambda name, error: None,
        screener: Guards | None = None,
        on_batch: Callable[[int], None] = lambda jobs: None,
        patience: float = inf,
    ) -> None:
        """`heads` judge the vector, `text_heads` the text; no name is in both. `max_queue` bounds the jobs
        that wait or run. `worker` must run one job at a time; by default it is a thread of this object's
        own. `clock` gives seconds, for the timings and for `patience`: so long after a text came, the guards
        begin no further pass over it, and have failed to read everything; what they found by then counts. It
        should be less than callers wait: otherwise who sends much at once keeps the guards from saying
        anything. `on_head_failure` is told, in the worker's thread, which head failed and how; it must not
        raise. Without a `screener` the guards fail where they are asked. `on_batch` is told how many jobs go
        to the thread together; it must not raise."""
        self._encoder = encoder
        self._heads = heads
        self._text_heads = text_heads or {}
        self._max_queue = max_queue
        self._worker = worker or ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")
        self._clock = clock
        self._verifier = verifier
        self._on_head_failure = on_head_failure
        self._screener = screener
        self._on_batch = on_batch
        self._patience = patience
        self._queue: dict[_Waiting, None] = {}
        self._running: list[_Waiting] = []
        self._pending = 0
        self._arrived = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._open = False

    @property
    def encoder(self) -> str:
        return self._encoder.encoder

    @property
    def pending(self) -> int:
        """Jobs that wait or run."""
        return self._pending

    def add_heads(self, on_vector: OnVector, on_text: OnText) -> None:
        """Judge by these too from now on; one of the same name takes the other's place."""
        self.replace_heads({**self._heads, **on_vector}, {**self._text_heads, **on_text})

    def replace_heads(self, on_vector: OnVector, on_text: OnText) -> None:
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

    async def analyse(self, text: str, needs: Needs | None = None, others: Sequence[str] = ()) -> Analysis:
        """Raises PortError: OVERLOADED at once when the queue is full, UNAVAILABLE before `start` and
        after `close`, INVALID when the encoder gives no usable vector. Safe to cancel."""
        wanted = self._wanted(needs, others)
        if not wanted.vector and not wanted.on_text:
            return self._unseen({}, Timings(), ())
        return await self._wait(partial(self._analyse, text, wanted))

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
                self._on_batch(len(self._running))
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

    def _wanted(self, needs: Needs | None, others: Sequence[str]) -> "_Wanted":
        """The heads on the states cost microseconds: where there is a pass, all of them are asked."""
        if needs is None:
            guards: tuple[str, ...] = () if self._screener is None else (GUARD, PII)
            return _Wanted(True, self._heads, self._text_heads, guards, tuple(others))
        on_text = {name: head for name, head in self._text_heads.items() if name in needs.heads}
        guards = tuple(name for name, asked in ((GUARD, needs.guard), (PII, needs.pii)) if asked)
        vector = bool(guards) or needs.vector or not needs.heads.isdisjoint(self._heads)
        return _Wanted(vector, self._heads if vector else {}, on_text, guards, tuple(others))

    def _analyse(self, text: str, wanted: "_Wanted", since: float) -> Analysis:
        taken = self._clock()
        failures: dict[str, BaseException] = {}
        if not wanted.vector:
            said = judged(wanted.on_text, text, failures)
            timings = Timings(queue=1e3 * (taken - since), run=1e3 * (self._clock() - taken))
            return self._unseen(said, timings, self._told(failures))
        tokens = self._encoder.tokenise(text)
        tokenised = self._clock()
        reading = self._encoder.run(tokens)
        if not np.isfinite(reading.states).all():
            raise PortError(Failure.INVALID, "the encoder gave a vector that is not finite")
        heads = judged(wanted.on_vector, reading.states, failures) | judged(wanted.on_text, text, failures)
        ran = screened = self._clock()
        screening = None
        if wanted.guards:
            screening = self._screened(text, (tokens, reading), wanted, since)
            screened = self._clock()
        return Analysis(
            vector=reading.vector,
            heads=heads,
            encoder=self._encoder.encoder,
            tokens=len(tokens.ids),
            truncated=tokens.truncated,
            timings=Timings(
                queue=1e3 * (taken - since),
                tokenise=1e3 * (tokenised - taken),
                run=1e3 * (ran - tokenised),
                screen=1e3 * (screened - ran),
            ),
            failed=self._told(failures),
            screening=screening,
        )

    def _screened(
        self, text: str, first: tuple[Tokens, Reading], wanted: "_Wanted", since: float
    ) -> Screening:
        """A guard that fails says so in the result: what follows from that is the policy's business."""
        screener = self._screener
        if screener is None:
            return Screening(failed=wanted.guards)
        try:
            found = screener.screen_all(
                (text, *wanted.others), first, lambda: self._clock() - since < self._patience
            )
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic in the tokeniser's Rust is no Exception
            self._told(dict.fromkeys(wanted.guards, error))
            return Screening(failed=wanted.guards)
        return replace(found, failed=wanted.guards) if found.late else found

    def _unseen(
        self, heads: Mapping[str, Mapping[str, float]], timings: Timings, failed: tuple[str, ...]
    ) -> Analysis:
        """Of a text that the encoder did not see. The vector is one that every store takes."""
        vector = np.zeros(self._encoder.dimension, np.float32)
        vector[0] = 1.0
        return Analysis(
            vector, heads, self._encoder.encoder, 0, truncated=True, timings=timings, failed=failed
        )

    def _told(self, failures: Mapping[str, BaseException]) -> tuple[str, ...]:
        for name, error in failures.items():
            self._on_head_failure(name, error)
        return tuple(failures)


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

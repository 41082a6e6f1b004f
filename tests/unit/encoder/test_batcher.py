"""The queue's rules, with a worker that runs a job when the test says so: no thread, no model."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from math import inf
from typing import Any, TypeVar

import numpy as np
import pytest

from router_extproc.base.refusals import Failure
from router_extproc.base.vector import Vector
from router_extproc.encoder.batcher import BatchingAnalyst
from router_extproc.encoder.judging import Judge
from router_extproc.encoder.session import Reading, Tokens
from router_extproc.ports import PortError
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.compiled import Needs
from router_extproc.screening.reading import Screening

DEADLINE = 5.0


class ManualWorker(Executor):
    """Keeps each job until `release`. `submitted` is set while a job waits."""

    def __init__(self) -> None:
        self.submitted = asyncio.Event()
        self._job: Callable[[], None] | None = None

    def submit(self, job: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()

        def run() -> None:
            future.set_running_or_notify_cancel()
            future.set_result(job(*args, **kwargs))

        self._job = run
        self.submitted.set()
        return future

    def release(self) -> None:
        job, self._job = self._job, None
        assert job is not None
        self.submitted.clear()
        job()


class PanicError(BaseException):
    """Like a Rust extension's panic: not an Exception."""


class EchoEncoder:
    """A text is its own tokens. `seen` lists the texts that were run."""

    encoder = "echo-1"
    dimension = 1

    def __init__(self) -> None:
        self.seen: list[str] = []

    def tokenise(self, text: str) -> Tokens:
        return Tokens(ids=tuple(ord(letter) for letter in text[:4]), truncated=len(text) > 4)

    def run(self, tokens: Tokens) -> Reading:
        text = "".join(chr(code) for code in tokens.ids)
        self.seen.append(text)
        if text == "bug":
            raise ZeroDivisionError
        if text == "rust":
            raise PanicError
        states = np.array([float("nan") if text == "nan" else 1.0], np.float32)
        return Reading(states, np.zeros((len(text), 1), np.float32), dimension=1)


class CertainHead:
    def probabilities(self, vector: Vector) -> Mapping[str, float]:
        return {"yes": float(vector[0])}


class LengthHead:
    def probabilities(self, text: str) -> Mapping[str, float]:
        return {"long": 1.0} if len(text) > 4 else {"long": 0.0}


class EchoVerifier:
    """A text asks the same as itself. `seen` lists the pairs that were compared."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def same(self, text: str, other: str) -> float | None:
        self.seen.append((text, other))
        if text == "bug":
            raise ZeroDivisionError
        if text == "rust":
            raise PanicError
        return {"nan": float("nan"), "more": 1.5, "long": None}.get(text, float(text == other))


class Ticks:
    """A clock that advances a millisecond at each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1e-3
        return self.now


class Bench:
    """An analyst on a manual worker."""

    def __init__(self, max_queue: int = 8) -> None:
        self.worker, self.model = ManualWorker(), EchoEncoder()
        heads = {"domain": CertainHead()}
        self.verifier = EchoVerifier()
        self.analyst = BatchingAnalyst(
            self.model, heads, max_queue, self.worker, Ticks(), verifier=self.verifier
        )

    async def ask(self, *texts: str) -> "list[asyncio.Task[Analysis]]":
        """Tasks that have entered the queue, or have been refused."""
        tasks = [asyncio.create_task(self.analyst.analyse(text)) for text in texts]
        await asyncio.sleep(0)
        return tasks

    async def compare(self, *pairs: tuple[str, str]) -> "list[asyncio.Task[float | None]]":
        """Like `ask`, for pairs."""
        tasks = [asyncio.create_task(self.analyst.same(*pair)) for pair in pairs]
        await asyncio.sleep(0)
        return tasks

    async def serve(self) -> None:
        """Run what the worker holds, once it holds something."""
        async with asyncio.timeout(DEADLINE):
            await self.worker.submitted.wait()
            self.worker.release()


async def _failure(task: "asyncio.Task[Any]") -> Failure:
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(PortError) as caught:
            await task
    return caught.value.reason


T = TypeVar("T")


async def _answer(task: "asyncio.Task[T]") -> T:
    async with asyncio.timeout(DEADLINE):
        return await task


async def test_an_analysis_carries_what_the_encoder_and_the_heads_said() -> None:
    bench = Bench()
    await bench.analyst.start()
    (task,) = await bench.ask("hello")
    await bench.serve()
    analysis = await _answer(task)
    assert analysis.heads == {"domain": {"yes": 1.0}}
    assert (analysis.encoder, analysis.tokens, analysis.truncated) == ("echo-1", 4, True)
    spent = analysis.timings
    assert [spent.queue, spent.tokenise, spent.run] == pytest.approx([1.0, 1.0, 1.0])
    assert spent.screen == 0.0
    await bench.analyst.close()


class EmptyGuards:
    def screen_all(
        self, texts: Sequence[str], first: tuple[Tokens, Reading] | None, goes_on: Callable[[], bool]
    ) -> Screening:
        return Screening(0.0)


async def test_what_the_guards_take_is_counted_by_itself() -> None:
    worker = ManualWorker()
    analyst = BatchingAnalyst(EchoEncoder(), {}, 8, worker, Ticks(), screener=EmptyGuards())
    await analyst.start()
    task = asyncio.create_task(analyst.analyse("hello"))
    async with asyncio.timeout(DEADLINE):
        await worker.submitted.wait()
        worker.release()
    spent = (await _answer(task)).timings
    assert [spent.queue, spent.tokenise, spent.run, spent.screen] == pytest.approx([1.0, 1.0, 1.0, 1.0])
    await analyst.close()


class SlowGuards:
    """Reads while it may; an attack was found by then."""

    def __init__(self) -> None:
        self.passes = 0

    def screen_all(
        self, texts: Sequence[str], first: tuple[Tokens, Reading] | None, goes_on: Callable[[], bool]
    ) -> Screening:
        while goes_on() and self.passes < 100:
            self.passes += 1
        return Screening(0.9, late=self.passes < 100)


@pytest.mark.parametrize(("patience", "passes", "failed"), [(0.0065, 3, ("guard", "pii")), (inf, 100, ())])
async def test_guards_that_run_out_of_time_have_failed_and_what_they_found_counts(
    patience: float, passes: int, failed: tuple[str, ...]
) -> None:
    worker, guards = ManualWorker(), SlowGuards()
    analyst = BatchingAnalyst(EchoEncoder(), {}, 8, worker, Ticks(), screener=guards, patience=patience)
    await analyst.start()
    task = asyncio.create_task(analyst.analyse("hello"))
    async with asyncio.timeout(DEADLINE):
        await worker.submitted.wait()
        worker.release()
    found = (await _answer(task)).screening
    assert found is not None
    assert (guards.passes, found.failed, found.attack) == (passes, failed, 0.9)
    await analyst.close()


async def test_how_many_jobs_go_together_and_how_many_wait_is_told() -> None:
    worker, told = ManualWorker(), list[int]()
    analyst = BatchingAnalyst(EchoEncoder(), {}, 8, worker, Ticks(), on_batch=told.append)
    await analyst.start()
    tasks = [asyncio.create_task(analyst.analyse(text)) for text in ("one", "two")]
    async with asyncio.timeout(DEADLINE):
        await worker.submitted.wait()
        assert (told, analyst.pending) == ([2], 2)
        worker.release()
        await asyncio.gather(*tasks)
    assert analyst.pending == 0
    await analyst.close()


async def test_heads_on_the_text_see_all_of_it_beside_those_on_the_vector() -> None:
    worker = ManualWorker()
    text_heads = {"length": LengthHead()}
    analyst = BatchingAnalyst(EchoEncoder(), {"domain": CertainHead()}, 8, worker, text_heads=text_heads)
    await analyst.start()
    task = asyncio.create_task(analyst.analyse("hello"))
    async with asyncio.timeout(DEADLINE):
        await worker.submitted.wait()
        worker.release()
    assert (await _answer(task)).heads == {"domain": {"yes": 1.0}, "length": {"long": 1.0}}
    await analyst.close()


class BrokenHead:
    """Fails as it is told to, or says `says`."""

    def __init__(self, error: BaseException | None = None, **says: float) -> None:
        self._error = error
        self._says = says

    def probabilities(self, subject: object, /) -> Mapping[str, float]:
        if self._error is not None:
            raise self._error
        return self._says


async def judged_by(
    heads: Mapping[str, Judge[Vector]], text_heads: Mapping[str, Judge[str]], needs: Needs | None = None
) -> tuple[Analysis, list[str], EchoEncoder]:
    """An analysis of "hello", who was said to have failed, and the encoder."""
    worker, model, told = ManualWorker(), EchoEncoder(), list[str]()

    def failed(name: str, error: BaseException) -> None:
        told.append(f"{name} {type(error).__name__}")

    analyst = BatchingAnalyst(model, heads, 8, worker, text_heads=text_heads, on_head_failure=failed)
    await analyst.start()
    task = asyncio.create_task(analyst.analyse("hello", needs))
    await asyncio.sleep(0)
    if not task.done():
        async with asyncio.timeout(DEADLINE):
            await worker.submitted.wait()
            worker.release()
    analysis = await _answer(task)
    await analyst.close()
    return analysis, told, model


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (BrokenHead(ZeroDivisionError()), "ZeroDivisionError"),
        (BrokenHead(PanicError()), "PanicError"),
        (BrokenHead(yes=float("nan")), "NotProbabilitiesError"),
        (BrokenHead(yes=1.5), "NotProbabilitiesError"),
    ],
)
async def test_a_head_that_fails_leaves_the_others_standing(broken: BrokenHead, error: str) -> None:
    on_vector: dict[str, Judge[Vector]] = {"complexity": broken, "domain": CertainHead()}
    analysis, told, _ = await judged_by(on_vector, {"language": broken, "length": LengthHead()})
    assert analysis.heads == {"domain": {"yes": 1.0}, "length": {"long": 1.0}}
    assert analysis.failed == ("complexity", "language")
    assert told == [f"complexity {error}", f"language {error}"]
    assert analysis.encoded


HEADS = {"domain": CertainHead(), "complexity": CertainHead()}
TEXT_HEADS = {"length": LengthHead(), "language": LengthHead()}


@pytest.mark.parametrize(
    ("needs", "encoded", "said"),
    [
        (None, True, {"domain", "complexity", "length", "language"}),
        (Needs(), False, set()),
        (Needs(heads=frozenset({"length"})), False, {"length"}),
        (Needs(heads=frozenset({"unknown"})), False, set()),
        (Needs(vector=True), True, {"domain", "complexity"}),
        (Needs(heads=frozenset({"domain", "language"})), True, {"domain", "complexity", "language"}),
    ],
)
async def test_only_what_is_needed_is_run(needs: Needs | None, encoded: bool, said: set[str]) -> None:
    analysis, told, model = await judged_by(HEADS, TEXT_HEADS, needs)
    assert (set(analysis.heads), told) == (said, [])
    assert (analysis.encoded, bool(model.seen)) == (encoded, encoded)
    assert np.linalg.norm(analysis.vector) == 1.0
    # What the encoder did not see must not be found by meaning.
    assert analysis.truncated


async def test_what_waits_is_served_in_order_of_arrival_in_one_hop() -> None:
    bench = Bench()
    await bench.analyst.start()
    tasks = await bench.ask("a")
    await bench.worker.submitted.wait()
    tasks += await bench.ask("b", "c", "d")
    await bench.serve()
    await bench.serve()
    for task in tasks:
        await _answer(task)
    assert bench.model.seen == ["a", "b", "c", "d"]
    await bench.analyst.close()


async def test_a_text_whose_caller_has_gone_is_not_run() -> None:
    bench = Bench()
    await bench.analyst.start()
    (first,) = await bench.ask("a")
    await bench.worker.submitted.wait()
    gone, stays = await bench.ask("b", "c")
    gone.cancel()
    await asyncio.sleep(0)
    await bench.serve()
    await bench.serve()
    await _answer(first)
    await _answer(stays)
    assert bench.model.seen == ["a", "c"]
    await bench.analyst.close()


async def test_a_caller_that_leaves_while_the_worker_holds_its_text_is_skipped_too() -> None:
    bench = Bench()
    await bench.analyst.start()
    (task,) = await bench.ask("a")
    await bench.worker.submitted.wait()
    task.cancel()
    await asyncio.sleep(0)
    await bench.serve()
    assert bench.model.seen == []
    await bench.analyst.close()


async def test_a_full_queue_refuses_at_once() -> None:
    bench = Bench(max_queue=2)
    await bench.analyst.start()
    tasks = await bench.ask("a", "b", "c")
    assert await _failure(tasks[2]) is Failure.OVERLOADED
    await bench.serve()
    await _answer(tasks[0])
    await _answer(tasks[1])
    (later,) = await bench.ask("d")
    await bench.serve()
    await _answer(later)
    await bench.analyst.close()


async def test_the_text_being_run_has_a_place_in_the_bound() -> None:
    bench = Bench(max_queue=2)
    await bench.analyst.start()
    await bench.ask("a")
    await bench.worker.submitted.wait()
    _, refused = await bench.ask("b", "c")
    assert await _failure(refused) is Failure.OVERLOADED
    await bench.serve()
    await bench.serve()
    await bench.analyst.close()


async def test_places_of_callers_who_left_are_given_away() -> None:
    bench = Bench(max_queue=3)
    await bench.analyst.start()
    running = await bench.ask("a")
    await bench.worker.submitted.wait()
    gone = await bench.ask("b", "c")
    for task in gone:
        task.cancel()
    await asyncio.sleep(0)
    (late,) = await bench.ask("d")
    await bench.serve()
    await bench.serve()
    await _answer(running[0])
    await _answer(late)
    assert bench.model.seen == ["a", "d"]
    await bench.analyst.close()


async def test_a_vector_that_is_not_finite_is_invalid() -> None:
    bench = Bench()
    await bench.analyst.start()
    bad, good = await bench.ask("nan", "a")
    await bench.serve()
    assert await _failure(bad) is Failure.INVALID
    await _answer(good)
    await bench.analyst.close()


async def test_a_bug_reaches_the_caller_it_hit_and_nobody_else() -> None:
    bench = Bench()
    await bench.analyst.start()
    bad, good = await bench.ask("bug", "a")
    await bench.serve()
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(ZeroDivisionError):
            await bad
    await _answer(good)
    await bench.analyst.close()


async def test_a_panic_in_native_code_fails_one_call_and_the_queue_lives_on() -> None:
    bench = Bench()
    await bench.analyst.start()
    bad, good = await bench.ask("rust", "a")
    await bench.serve()
    assert await _failure(bad) is Failure.INVALID
    await _answer(good)
    (later,) = await bench.ask("b")
    await bench.serve()
    await _answer(later)
    await bench.analyst.close()


async def test_closing_fails_those_who_wait_and_those_who_come() -> None:
    bench = Bench()
    await bench.analyst.start()
    (running,) = await bench.ask("a")
    await bench.worker.submitted.wait()
    (waiting,) = await bench.ask("b")
    closing = asyncio.create_task(bench.analyst.close())
    assert await _failure(running) is Failure.UNAVAILABLE
    assert await _failure(waiting) is Failure.UNAVAILABLE
    await bench.serve()
    async with asyncio.timeout(DEADLINE):
        await closing
    (late,) = await bench.ask("c")
    assert await _failure(late) is Failure.UNAVAILABLE
    assert bench.model.seen == []


async def test_before_the_start_nothing_is_taken() -> None:
    bench = Bench()
    (task,) = await bench.ask("a")
    assert await _failure(task) is Failure.UNAVAILABLE
    await bench.analyst.close()


async def test_closing_twice_is_harmless() -> None:
    bench = Bench()
    await bench.analyst.start()
    await bench.analyst.close()
    await bench.analyst.close()


async def test_pairs_and_texts_share_one_queue_in_order_of_arrival() -> None:
    bench = Bench(max_queue=3)
    await bench.analyst.start()
    (text,) = await bench.ask("a")
    await bench.worker.submitted.wait()
    same, other, refused = await bench.compare(("b", "b"), ("b", "c"), ("d", "d"))
    assert await _failure(refused) is Failure.OVERLOADED
    await bench.serve()
    await bench.serve()
    await _answer(text)
    assert (await _answer(same), await _answer(other)) == (1.0, 0.0)
    assert bench.verifier.seen == [("b", "b"), ("b", "c")]
    await bench.analyst.close()


async def test_a_pair_too_long_to_judge_has_no_probability() -> None:
    bench = Bench()
    await bench.analyst.start()
    (task,) = await bench.compare(("long", "a"))
    await bench.serve()
    assert await _answer(task) is None
    await bench.analyst.close()


@pytest.mark.parametrize("text", ["nan", "more", "rust"])
async def test_what_is_no_probability_is_invalid(text: str) -> None:
    bench = Bench()
    await bench.analyst.start()
    bad, good = await bench.compare((text, "a"), ("a", "a"))
    await bench.serve()
    assert await _failure(bad) is Failure.INVALID
    assert await _answer(good) == 1.0
    await bench.analyst.close()


async def test_a_bug_of_the_verifier_reaches_the_caller_it_hit_and_nobody_else() -> None:
    bench = Bench()
    await bench.analyst.start()
    bad, good = await bench.compare(("bug", "a"), ("a", "a"))
    await bench.serve()
    with pytest.raises(ZeroDivisionError):
        await _answer(bad)
    assert await _answer(good) == 1.0
    await bench.analyst.close()


async def test_a_pair_whose_caller_has_gone_is_not_judged() -> None:
    bench = Bench()
    await bench.analyst.start()
    gone, stays = await bench.compare(("a", "b"), ("c", "c"))
    gone.cancel()
    await bench.serve()
    assert await _answer(stays) == 1.0
    assert bench.verifier.seen == [("c", "c")]
    await bench.analyst.close()


async def test_without_a_verifier_nothing_is_judged() -> None:
    analyst = BatchingAnalyst(EchoEncoder(), {}, worker=ManualWorker())
    await analyst.start()
    assert await _failure(asyncio.create_task(analyst.same("a", "a"))) is Failure.UNAVAILABLE
    await analyst.close()

"""Answers that are read before they are kept, through a real Envoy, with the real tags and patterns: what the
cache may give to somebody else, and that the client whose answer it is does not wait for that."""

import asyncio
import json
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import pytest_asyncio

from router_extproc.app.mind import Mind
from router_extproc.encoder.screener import Screener
from router_extproc.encoder.session import Reading, Tokens
from router_extproc.screening.patterns import find_patterns
from router_extproc.screening.reading import Screening
from router_extproc.screening.spans import PII_TYPES
from tests.support.guarded import ATTACK, exposition, sample, samples, user
from tests.support.processes import wait_until
from tests.support.routing import RoutedPool, routed
from tests.support.stack import Answer
from tests.support.upstream import Answer as UpstreamAnswer
from tests.support.upstream import json_answer, sse_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")

CARD, EMAIL = "4539 1488 0343 6467", "erika.mustermann@example.org"
CLEAN = "Boil the eggs for six minutes, then put them into cold water."
HARMLESS_TYPES = "AGE DATE_TIME DOMAIN_NAME GPE NRP ORGANIZATION TITLE".split()
READ = {"pii_enabled": True, "pii_types_allowed": HARMLESS_TYPES, "jailbreak_enabled": True}


WAIT = 15.0
KEEP_NOTHING = {"x-vsr-cache-control": "no-store"}
"""Whoever asks so that the test sees whether the cache answers leaves nothing behind to be read."""


def cache(**screen: Any) -> dict[str, Any]:
    """Everybody shares answers. The deadline leaves room for a machine that does something else too."""
    return {
        "simulator": None,
        "categories": [],
        "encoder": {"timeout_ms": 1500},
        "semantic_cache": {
            "scope": "shared",
            "mode": "exact",
            "verifier": {"enabled": False},
            "screen_answers": screen,
        },
    }


@dataclass(slots=True)
class Faulty:
    """The real screener, until it is told to fail or to wait for `released`. Called in the worker thread."""

    real: Screener
    fails: bool = False
    holds: bool = False
    entered: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def screen_all(
        self, texts: Sequence[str], first: tuple[Tokens, Reading] | None, goes_on: Callable[[], bool]
    ) -> Screening:
        if self.fails:
            raise RuntimeError("a broken head")
        if self.holds:
            self.entered.set()
            assert self.released.wait(20)
        return self.real.screen_all(texts, first, goes_on)

    def as_bytes(self) -> bytes:
        return self.real.as_bytes()


@dataclass(frozen=True, slots=True)
class Breakable:
    pool: RoutedPool
    screener: Faulty


@pytest.fixture(autouse=True, scope="module")
def suffixes() -> None:
    """The list of public suffixes is read with the first name of a host, which takes a tenth of a second of
    the processor: too much of a deadline where other programs have it."""
    assert find_patterns(EMAIL, PII_TYPES)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def reading(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Breakable]:
    screeners: list[Faulty] = []

    def faulty(mind: Mind) -> Mind:
        screeners.append(Faulty(mind.screener))
        return replace(mind, screener=screeners[-1])  # type: ignore[arg-type]

    async with routed(tmp_path_factory.mktemp("reading"), cache(**READ), changed=faulty) as opened:
        yield Breakable(opened, screeners[0])


@pytest.fixture
def pool(reading: Breakable) -> RoutedPool:
    return reading.pool


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def trusting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RoutedPool]:
    """Reads no answer."""
    async with routed(tmp_path_factory.mktemp("trusting"), cache()) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def simulated(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RoutedPool]:
    """The simulated pool, whose answers quote the question. Its prose is made up, so only what a written rule
    finds counts."""
    changes = cache(pii_enabled=True, pii_types_allowed=sorted(PII_TYPES - {"EMAIL_ADDRESS"}))
    del changes["simulator"]
    async with routed(tmp_path_factory.mktemp("simulated"), changes, simulated=True) as opened:
        yield opened


def saying(text: str, *, stream: bool = False, reasoning: str = "") -> UpstreamAnswer:
    """A model's complete answer. As a stream its text comes in pieces of seven characters."""
    base = {"id": "chatcmpl-up", "created": 1, "model": "m"}
    message = {"role": "assistant", "content": text} | ({"reasoning_content": reasoning} if reasoning else {})
    if not stream:
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return json_answer(base | {"object": "chat.completion", "choices": [choice]})

    def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        said = base | {"object": "chat.completion.chunk", "choices": [choice]}
        return b"data: " + json.dumps(said).encode() + b"\n\n"

    pieces = [chunk({"content": text[at : at + 7]}) for at in range(0, len(text), 7)]
    thoughts = [chunk({"reasoning_content": reasoning})] if reasoning else []
    return sse_answer(*thoughts, *pieces, chunk({}, "stop"), b"data: [DONE]\n\n")


async def screened(pool: RoutedPool) -> Counter[str]:
    """How often answers were read, by what came of it."""
    name = 'router_answers_screened_total{outcome="'
    found = {each: count for each, count in (await samples(pool)).items() if each.startswith(name)}
    return Counter({each.removeprefix(name).removesuffix('"}'): int(n) for each, n in found.items()})


class Screened:
    """`async with Screened(pool, outcome): ...`: one answer is read within or soon after, to this outcome."""

    def __init__(self, pool: RoutedPool, outcome: str) -> None:
        self._pool, self._outcome = pool, outcome
        self._before = Counter[str]()

    async def __aenter__(self) -> None:
        self._before = await screened(self._pool)

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return

        async def read() -> Counter[str]:
            return await screened(self._pool) - self._before

        assert await wait_until(read, "an answer to be read", WAIT) == {self._outcome: 1}


async def asked_twice(
    pool: RoutedPool, question: str, said: UpstreamAnswer, outcome: str, **more: Any
) -> Answer:
    """Ask once and wait until the answer was read, with this outcome; then somebody else asks the same."""
    assert pool.upstream is not None
    reason = {"phase": "store", "reason": outcome}
    uncached = await sample(pool, "router_uncached_total", **reason)
    pool.upstream.script(said)
    async with Screened(pool, outcome):
        first, _ = await pool.sent(question, **more)
    assert not first.is_hit
    refused = 0 if outcome == "kept" else 1
    assert await sample(pool, "router_uncached_total", **reason) == uncached + refused
    return await pool.ask(question, headers=KEEP_NOTHING, **more)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_with_nothing_in_it_is_kept_for_everybody(pool: RoutedPool, stream: bool) -> None:
    question = f"How do I boil an egg? {stream}"
    again = await asked_twice(pool, question, saying(CLEAN, stream=stream), "kept", stream=stream)
    assert again.is_hit
    assert b"cold water" in again.body or stream


LEAKS = {
    "an e-mail address": f"Write to {EMAIL}, she knows more.",
    "a card": f"The card on file is {CARD}.",
    "a long answer with a card at its end": "Eggs are boiled in water. " * 40 + f"The card is {CARD}.",
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", LEAKS)
async def test_an_answer_with_personal_data_is_not_kept(pool: RoutedPool, name: str, stream: bool) -> None:
    said = saying(LEAKS[name], stream=stream)
    again = await asked_twice(pool, f"Who knows more? {name} {stream}", said, "personal_data", stream=stream)
    assert not again.is_hit


@pytest.mark.parametrize("stream", [False, True])
async def test_thoughts_are_read_too(pool: RoutedPool, stream: bool) -> None:
    said = saying(CLEAN, stream=stream, reasoning=f"The user is {EMAIL}.")
    assert not (await asked_twice(pool, f"Think. {stream}", said, "personal_data", stream=stream)).is_hit


async def test_an_answer_with_an_attack_in_it_is_not_kept(pool: RoutedPool) -> None:
    assert not (await asked_twice(pool, "What does the page say?", saying(ATTACK), "attack")).is_hit


async def test_a_type_that_is_allowed_keeps_nothing_out(pool: RoutedPool) -> None:
    said = saying("Paris is the capital of France. It was founded in the third century BC.")
    assert (await asked_twice(pool, "What is the capital of France?", said, "kept")).is_hit


@pytest.mark.parametrize("text", LEAKS.values())
async def test_without_the_setting_answers_are_kept_unread(trusting: RoutedPool, text: str) -> None:
    assert trusting.upstream is not None
    question = f"Who knows more? {len(text)}"
    trusting.upstream.script(saying(text))
    await trusting.sent(question)

    async def hit() -> bool:
        return (await trusting.ask(question)).is_hit

    await wait_until(hit, "an answer from the cache", WAIT)
    assert "router_answers_screened_total{" not in await exposition(trusting)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_an_answer_repeats_of_its_question_is_not_kept_either(
    simulated: RoutedPool, stream: bool
) -> None:
    """It is somebody else's to whom the cache would say it."""
    for question, outcome in (
        (f"How do I reach {EMAIL}? {stream}", "personal_data"),
        (f"How do pumps lift water? {stream}", "kept"),
    ):
        async with Screened(simulated, outcome):
            assert not (await simulated.ask(question, model="qwen3-0.6b", stream=stream)).is_hit
        again = await simulated.ask(question, model="qwen3-0.6b", headers=KEEP_NOTHING, stream=stream)
        assert again.is_hit is (outcome == "kept")


async def test_an_answer_that_could_not_be_read_is_not_kept(reading: Breakable) -> None:
    reading.screener.fails = True
    try:
        again = await asked_twice(reading.pool, "And broken?", saying(CLEAN), "unscreened")
    finally:
        reading.screener.fails = False
    assert not again.is_hit
    assert (await asked_twice(reading.pool, "And mended?", saying(CLEAN), "kept")).is_hit


async def test_an_answer_that_is_not_read_in_time_is_not_kept_and_its_client_does_not_wait(
    reading: Breakable,
) -> None:
    """The first answer is there while the screener still holds it. The deadline is the encoder's."""
    pool, screener = reading.pool, reading.screener
    assert pool.upstream is not None
    late = await sample(pool, "router_port_failures_total", port="analyst", reason="timeout")
    screener.holds = True
    screener.entered.clear()
    screener.released.clear()
    try:
        pool.upstream.script(saying(CLEAN))
        async with Screened(pool, "unscreened"):
            before = await screened(pool)
            answer, _ = await pool.sent("And slow?")
            assert answer.status == 200
            await wait_until(screener.entered.is_set, "the answer to be read", WAIT)
            assert await screened(pool) == before
    finally:
        screener.holds = False
        screener.released.set()
    assert await sample(pool, "router_port_failures_total", port="analyst", reason="timeout") == late + 1
    pool.upstream.script(saying(CLEAN))
    again, _ = await pool.sent("And slow?", headers=KEEP_NOTHING)
    assert not again.is_hit


@pytest.mark.parametrize(("text", "asked"), [(CLEAN, 1), (LEAKS["a card"], 2)])
async def test_who_waits_for_an_answer_gets_it_only_if_it_is_kept(
    pool: RoutedPool, text: str, asked: int
) -> None:
    """The other client asks while the first one's answer is under way."""
    assert pool.upstream is not None
    before, gate = len(pool.upstream.requests), asyncio.Event()
    read = await screened(pool)
    whole = saying(text)
    body = b"".join(step for step in whole.steps if isinstance(step, bytes))
    slow = UpstreamAnswer(200, [("content-type", "application/json")], [body[:9], gate, body[9:]])
    pool.upstream.script(slow, saying(CLEAN))
    first = asyncio.create_task(pool.ask(f"All together? {asked}"))
    await pool.upstream.received(before + 1)
    second = asyncio.create_task(pool.ask(f"All together? {asked}"))
    gate.set()
    answers = await asyncio.gather(first, second)
    assert [json.loads(each.body)["choices"][0]["message"]["content"] for each in answers] == [text, CLEAN]
    assert len(pool.upstream.requests) == before + asked
    pool.upstream.discard()

    async def all_read() -> bool:
        return (await screened(pool) - read).total() == asked

    await wait_until(all_read, "every answer to be read", WAIT)


async def test_a_refusal_to_keep_an_answer_leaves_a_record_and_quotes_nothing(
    pool: RoutedPool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        said = saying(f"{LEAKS['a card']} {EMAIL}")
        await asked_twice(pool, "What is on record?", said, "personal_data")
    audit = [each.getMessage() for each in caplog.records if each.name == "router_extproc.audit"]
    assert [line for line in audit if line.startswith("answer=not_kept reason=personal_data key=")]
    assert "types=CREDIT_CARD,EMAIL_ADDRESS" in audit[0]
    for place in (caplog.text, await exposition(pool), pool.envoy.log()):
        for secret in (CARD, CARD.replace(" ", ""), EMAIL, "mustermann"):
            assert secret.lower() not in place.lower()


async def test_the_first_turn_may_hold_what_the_second_turn_s_answer_must_not(pool: RoutedPool) -> None:
    """The setting reads answers. What is in requests is the guards' business."""
    assert pool.upstream is not None
    earlier = [user(f"I am {EMAIL}."), {"role": "assistant", "content": "Hello."}]
    pool.upstream.script(saying(CLEAN))
    async with Screened(pool, "kept"):
        await pool.sent_chat([*earlier, user("How long do eggs take to boil in a small pan?")])

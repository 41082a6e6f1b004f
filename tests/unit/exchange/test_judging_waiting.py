"""Waiting: for an identical request, and never longer for the store than its time."""

from typing import Any

import pytest

from router_extproc.base.names import VSR_CACHE_CONTROL
from router_extproc.base.refusals import Failure, Waited
from router_extproc.caching.entry import Candidate
from router_extproc.exchange.effects import (
    Analyse,
    CacheHit,
    Coalesced,
    HitKind,
    Join,
    LookupExact,
    LookupSimilar,
    PortFailed,
    Question,
)
from router_extproc.exchange.events import Alone
from tests.support.play import (
    AT,
    COMPLETION,
    PLAN,
    Ports,
    chat_body,
    chat_headers,
    entry,
    partition_of,
    plan_with,
    play,
    question,
)
from tests.support.ports import FakeClock


def landing(**changes: Any) -> Ports:
    return Ports(join=lambda effect: Candidate(entry(partition_of(effect), **changes), 1.0))


def test_a_request_takes_the_answer_of_an_identical_one() -> None:
    transcript = play([chat_headers(), chat_body()], landing())
    assert transcript.immediate().details == "cache_coalesced"
    assert transcript.only(CacheHit) == [
        CacheHit(HitKind.COALESCED, "e", 1.0, "large", 5.0, 0.0, usage=COMPLETION.usage)
    ]
    assert transcript.only(Coalesced) == [Coalesced(Waited.ANSWERED)]
    assert transcript.only(Analyse) == []


@pytest.mark.parametrize(
    ("stream", "content_type"), [(True, "text/event-stream"), (False, "application/json")]
)
def test_whoever_waited_gets_the_form_it_asked_for(stream: bool, content_type: str) -> None:
    reply = play([chat_headers(), chat_body(question(stream=stream))], landing()).immediate()
    assert dict(reply.headers)["content-type"] == content_type


@pytest.mark.parametrize(
    "ports",
    [
        Ports(join=lambda effect: Alone(Waited.TIMEOUT)),
        Ports(join=lambda effect: Alone(Waited.LEADER_GAVE_UP)),
        landing(expires_at=AT),
        Ports(join=lambda effect: Candidate(entry("another"), 1.0)),
    ],
)
def test_whoever_waited_in_vain_goes_on(ports: Ports) -> None:
    transcript = play([chat_headers(), chat_body()], ports)
    assert transcript.forwarded()
    [coalesced] = transcript.only(Coalesced)
    assert coalesced.outcome is not Waited.ANSWERED
    assert bool(transcript.only(LookupSimilar))


def test_whoever_wants_a_younger_answer_does_not_take_the_leader_s() -> None:
    ask = chat_headers((VSR_CACHE_CONTROL, "max-age=4"))
    assert play([ask, chat_body()], landing()).forwarded()


def test_without_a_time_to_wait_nobody_waits() -> None:
    transcript = play([chat_headers(), chat_body()], plan=plan_with(coalesce_timeout=0.0))
    assert (transcript.only(Join), bool(transcript.only(LookupSimilar))) == ([], True)


def test_who_wait_are_freed_as_soon_as_no_answer_will_come() -> None:
    ports = Ports(analyse=lambda effect: Failure.TIMEOUT)
    assert play([chat_headers(), chat_body()], ports).landed() == [None]
    assert play([chat_headers(), chat_body()]).landed() == []


@pytest.mark.parametrize("took", [0.0, 0.01, 0.03, 0.0489])
def test_the_second_lookup_gets_what_the_first_left(took: float) -> None:
    clock = FakeClock(AT)

    def pace(effect: Question) -> None:
        # Neither waiting for company nor the encoder is a lookup.
        clock.advance(took if isinstance(effect, LookupExact) else 0.4)

    transcript = play([chat_headers(), chat_body()], Ports(pace=pace), at=clock.now)
    [exact], [near] = transcript.only(LookupExact), transcript.only(LookupSimilar)
    assert exact.timeout == PLAN.cache.lookup_timeout
    assert near.timeout == pytest.approx(PLAN.cache.lookup_timeout - took, abs=1e-6)


def test_a_first_lookup_that_took_all_leaves_no_second() -> None:
    clock = FakeClock(AT)
    ports = Ports(exact=lambda effect: Failure.TIMEOUT, pace=lambda effect: clock.advance(0.05))
    transcript = play([chat_headers(), chat_body()], ports, at=clock.now)
    assert transcript.forwarded()
    assert not transcript.only(LookupSimilar)
    assert transcript.only(PortFailed) == [PortFailed("store", Failure.TIMEOUT)] * 2


def test_a_clock_that_steps_back_buys_no_time() -> None:
    clock = FakeClock(AT)
    ports = Ports(pace=lambda effect: clock.advance(-60.0))
    [near] = play([chat_headers(), chat_body()], ports, at=clock.now).only(LookupSimilar)
    assert near.timeout == PLAN.cache.lookup_timeout

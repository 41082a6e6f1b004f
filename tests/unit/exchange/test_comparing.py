"""The verifier has the last word on what was found in other words, and nothing else depends on it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from router_extproc.base.refusals import Failure, Uncached
from router_extproc.caching.entry import Candidate
from router_extproc.caching.guard import Difference, agree
from router_extproc.caching.marks import Kind, Mark, Marks, Selector
from router_extproc.caching.policy import Consent
from router_extproc.exchange.effects import (
    CacheHit,
    CacheMiss,
    CacheSkipped,
    Compare,
    HitKind,
    LookupSimilar,
    PortFailed,
    Question,
)
from router_extproc.exchange.events import Compared, Event, PeerClosed
from router_extproc.exchange.exchange import Exchange
from router_extproc.exchange.stages import AwaitSame
from tests.support.play import (
    AT,
    COMPLETION,
    PLAN,
    Ports,
    Transcript,
    chat_body,
    chat_headers,
    entry,
    feed,
    finds_exactly,
    plan_with,
    play,
    response_headers,
)
from tests.support.ports import FakeClock

WITH = plan_with(verifier=Consent(0.9, 0.8))
ASK: list[Event] = [chat_headers(), chat_body()]
ONE, TWO, THREE, FOUR = "Please add 2 and 2.", "Now add 2 and 2.", "Can you add 2 and 2?", "Just add 2 and 2."


def finds(*texts: str, **changes: Any) -> Ports:
    """A store that finds entries for `texts`, each less similar than the one before, with the text as id."""

    def found(effect: LookupSimilar) -> list[Candidate]:
        return [
            Candidate(entry(effect.partition, text, id=text, **changes), 0.99 - place / 100)
            for place, text in enumerate(texts)
        ]

    return Ports(similar=found)


def asked(ports: Ports, said: Sequence[float | Failure | None], **more: Any) -> Transcript:
    """The verifier says `said`, one after the other."""
    answers = iter(said)
    return play(ASK, replace(ports, same=lambda effect: next(answers)), WITH, **more)


def others(transcript: Transcript) -> list[str]:
    return [effect.other for effect in transcript.only(Compare)]


def test_what_the_verifier_accepts_answers() -> None:
    transcript = asked(finds(ONE), [0.8])
    assert transcript.immediate().details == "cache_semantic"
    assert transcript.only(Compare) == [Compare("Add 2 and 2.", ONE, PLAN.analysis_timeout)]
    assert transcript.only(CacheHit) == [
        CacheHit(HitKind.SEMANTIC, ONE, 0.99, "large", 5.0, 0.0, 0.8, COMPLETION.usage)
    ]
    [landed] = transcript.landed()
    assert landed is not None
    assert landed.entry.text == ONE


@pytest.mark.parametrize(("said", "difference"), [(0.79, Difference.VERIFIER), (None, Difference.TOO_LONG)])
def test_what_it_does_not_accept_is_a_counted_miss(said: float | None, difference: Difference) -> None:
    transcript = asked(finds(ONE), [said])
    assert transcript.forwarded()
    assert transcript.only(CacheMiss) == [CacheMiss({difference: 1})]


def test_candidates_are_judged_one_after_the_other_until_one_is_accepted() -> None:
    transcript = asked(finds(ONE, TWO, THREE), [0.1, 0.9])
    assert others(transcript) == [ONE, TWO]
    assert [hit.entry for hit in transcript.only(CacheHit)] == [TWO]


def test_no_more_than_three_are_judged() -> None:
    transcript = asked(finds(ONE, TWO, THREE, FOUR), [0.1, None, 0.2])
    assert others(transcript) == [ONE, TWO, THREE]
    assert transcript.only(CacheMiss) == [CacheMiss({Difference.VERIFIER: 2, Difference.TOO_LONG: 1})]


@pytest.mark.parametrize(
    "ports", [Ports(), Ports(exact=finds_exactly), finds("Add 2 and 2."), finds("Add 2 and 3.")]
)
def test_the_verifier_is_not_asked_where_there_is_nothing_to_judge(ports: Ports) -> None:
    assert asked(ports, []).only(Compare) == []


def test_without_a_verifier_the_guard_decides() -> None:
    transcript = play(ASK, finds(ONE))
    assert transcript.immediate().status == 200
    assert transcript.only(Compare) == []
    assert [hit.probability for hit in transcript.only(CacheHit)] == [None]


@pytest.mark.parametrize("failure", list(Failure))
def test_a_verifier_that_fails_is_a_miss(failure: Failure) -> None:
    transcript = asked(finds(ONE, TWO), [0.1, failure])
    assert transcript.forwarded()
    assert transcript.only(PortFailed) == [PortFailed("verifier", failure)]
    assert transcript.only(CacheMiss) == [CacheMiss({Difference.VERIFIER: 1})]


def taking(seconds: float, clock: FakeClock, ports: Ports) -> Ports:
    """Each comparison takes so long."""

    def pace(effect: Question) -> None:
        if isinstance(effect, Compare):
            clock.advance(seconds)

    return replace(ports, pace=pace)


def test_an_entry_that_expires_while_it_is_judged_does_not_answer() -> None:
    clock = FakeClock(AT)
    transcript = asked(taking(0.3, clock, finds(ONE, expires_at=AT + 0.2)), [1.0], at=clock.now)
    assert transcript.forwarded()
    assert transcript.only(CacheMiss) == [CacheMiss()]


def test_an_entry_taken_back_while_another_is_judged_is_not_judged_itself() -> None:
    """Nor does the one that is."""
    exchange = Exchange(WITH, "x1")
    feed(exchange, ASK[0], Ports())
    [compare] = [e for e in feed_until_same(exchange, finds(ONE, TWO)) if isinstance(e, Compare)]
    assert compare.other == ONE
    everything = Marks.of([Mark(Selector(Kind.ALL), AT, AT + 60)])
    effects = exchange.receive(Compared(1.0, everything), AT)
    assert not any(isinstance(effect, CacheHit | Compare) for effect in effects)
    assert CacheMiss() in effects


def feed_until_same(exchange: Exchange, ports: Ports) -> list[object]:
    """Everything that the body leads to, up to the question to the verifier."""
    effects: list[object] = []
    waiting = list(exchange.receive(ASK[1], AT))
    while waiting:
        effect = waiting.pop(0)
        effects.append(effect)
        answer = None if isinstance(effect, Compare) else ports.run(effect)
        waiting.extend(exchange.receive(answer, AT) if answer is not None else ())
    assert isinstance(exchange.stage, AwaitSame)
    return effects


def test_a_client_that_leaves_while_the_verifier_is_asked_is_noted() -> None:
    exchange = Exchange(WITH, "x1")
    feed(exchange, ASK[0], Ports())
    feed_until_same(exchange, finds(ONE))
    [note] = exchange.receive(PeerClosed(), AT)
    assert note.stage == "AwaitSame"  # type: ignore[union-attr]


def test_all_comparisons_share_the_time_of_one_analysis() -> None:
    clock = FakeClock(AT)
    transcript = asked(taking(0.2, clock, finds(ONE, TWO, THREE)), [0.1, 0.1, 0.1], at=clock.now)
    budgets = [effect.timeout for effect in transcript.only(Compare)]
    assert budgets == pytest.approx([0.5, 0.3, 0.1], abs=1e-6)


def test_when_the_time_is_up_nothing_more_is_asked() -> None:
    clock = FakeClock(AT)
    transcript = asked(taking(0.5, clock, finds(ONE, TWO)), [0.1], at=clock.now)
    assert others(transcript) == [ONE]
    assert transcript.only(PortFailed) == [PortFailed("verifier", Failure.TIMEOUT)]
    assert transcript.forwarded()


def test_a_clock_that_steps_back_buys_no_time_and_loses_none() -> None:
    clock = FakeClock(AT)
    transcript = asked(taking(-9.0, clock, finds(ONE, TWO)), [0.1, 1.0], at=clock.now)
    assert [effect.timeout for effect in transcript.only(Compare)] == [0.5, 0.5]
    assert transcript.immediate().status == 200


def test_a_consent_that_is_always_given_is_not_asked_for() -> None:
    """A veto of 0 vetoes nothing; a sign of a difference still has to be judged."""
    plan = plan_with(verifier=Consent(0.9, 0.0))
    transcript = play(ASK, replace(finds(ONE), same=never), plan)
    assert [(hit.entry, hit.probability) for hit in transcript.only(CacheHit)] == [(ONE, None)]
    assert transcript.only(Compare) == []
    signed = "Add 2 and 2 for my friend."
    assert agree("Add 2 and 2.", signed) is not None
    transcript = play(ASK, replace(finds(signed, ONE), same=lambda effect: 0.1), plan)
    assert others(transcript) == [signed]
    assert [(hit.entry, hit.probability) for hit in transcript.only(CacheHit)] == [(ONE, None)]


def never(effect: Compare) -> float:
    raise AssertionError("asked")


FAILING: list[Event] = [*ASK, response_headers("503")]
STALE = plan_with(verifier=Consent(0.9, 0.8), stale_grace=30.0)


def stale(ports: Ports, said: Sequence[float | Failure | None]) -> Transcript:
    """The store proposes only once the model has failed."""
    answers = iter(said)

    def similar(effect: LookupSimilar) -> Sequence[Candidate] | Failure:
        return ports.similar(effect) if effect.grace else ()

    return play(FAILING, replace(ports, similar=similar, same=lambda effect: next(answers)), STALE)


def test_other_words_stand_in_for_a_failing_model_if_the_verifier_accepts_them() -> None:
    transcript = stale(finds(ONE, TWO, expires_at=AT - 1), [0.1, 0.9])
    assert transcript.immediate().details == "cache_stale"
    assert [(hit.entry, hit.probability) for hit in transcript.only(CacheHit)] == [(TWO, 0.9)]


@pytest.mark.parametrize("said", [0.1, None, Failure.TIMEOUT, Failure.OVERLOADED])
def test_else_the_model_s_error_passes(said: float | Failure | None) -> None:
    transcript = stale(finds(ONE, expires_at=AT - 1), [said])
    assert len(transcript.replies()) == 3
    assert CacheSkipped(Uncached.STATUS, storing=True) in transcript.effects
    failures = transcript.only(PortFailed)
    assert failures == ([PortFailed("verifier", said)] if isinstance(said, Failure) else [])


def test_only_what_the_verifier_accepted_is_compared_with_a_fresh_answer() -> None:
    plan = plan_with(verifier=Consent(0.9, 0.8), verify_share=1.0)
    accepted = play(FAILING, replace(finds(ONE), same=lambda effect: 0.9), plan)
    # Held back, then asked for again when the model failed: judged both times.
    assert others(accepted) == [ONE, ONE]
    assert [hit.probability for hit in accepted.only(CacheHit)] == [0.9]
    refused = play(FAILING, replace(finds(ONE), same=lambda effect: 0.1), plan)
    assert others(refused) == [ONE]
    assert refused.only(CacheHit) == []

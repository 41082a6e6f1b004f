"""What becomes of an answer that is read before it is kept."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from router_extproc.base.completion import Completion
from router_extproc.base.refusals import Failure, Uncached
from router_extproc.caching.entry import Candidate
from router_extproc.exchange.effects import (
    AnswerScreened,
    CacheSkipped,
    Close,
    Land,
    Phase,
    PortFailed,
    Reply,
    ScreenAnswer,
    Store,
    Verify,
)
from router_extproc.exchange.events import Event, PeerClosed, ResponseTrailers
from router_extproc.exchange.keeping import (
    OVERLAP,
    PASSAGE,
    needs_of,
    passages_of,
    settled,
    together,
)
from router_extproc.exchange.notes import AnswerEnded
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.llm.render import render_json, render_sse
from router_extproc.routing.compiled import Needs
from router_extproc.screening.policy import AnswerPolicy, Beyond, Least, ScreeningPolicy
from router_extproc.screening.reading import CHARACTERS_PER_TOKEN, Screening
from tests.support.play import (
    AT,
    COMPLETION,
    PLAN,
    chat_body,
    chat_headers,
    entry,
    finds_similar,
    pieces,
    play,
    response_headers,
)

POLICY = ScreeningPolicy(answers=AnswerPolicy(Least(0.5), Least(0.7), frozenset({"GPE"})))
READING = replace(PLAN, screening=POLICY)
ENTRY = entry("p1")
CLEAN = Screening(0.0)
ASK: list[Event] = [chat_headers(), chat_body()]
JSON = ("application/json", render_json(COMPLETION, "chatcmpl-1", 1))
SSE = ("text/event-stream", render_sse(COMPLETION, "chatcmpl-1", 1, True))


def asked(policy: ScreeningPolicy = POLICY, **changes: Any) -> ScreenAnswer:
    return ScreenAnswer(replace(ENTRY, **changes), policy, 0.5)


def kept(question: ScreenAnswer, found: Screening | Failure | None, at: float = AT) -> Uncached | None:
    """Why an answer is not kept. Whatever becomes of it is the same for those who wait, and is counted."""
    land, does, note, *more = settled(question, found, at)
    assert isinstance(note, AnswerScreened)
    assert not [each for each in more if not isinstance(each, PortFailed)]
    if note.refused is None:
        assert (land, does) == (Land(Candidate(question.entry, 1.0)), Store(question.entry))
    else:
        assert (land, does) == (Land(None), CacheSkipped(note.refused, storing=True))
    return note.refused


@pytest.mark.parametrize(("content_type", "answer"), [JSON, SSE])
@pytest.mark.parametrize("trailers", [False, True])
def test_a_complete_answer_is_read_after_the_last_reply_and_before_anybody_has_it(
    content_type: str, answer: bytes, trailers: bool
) -> None:
    """Not even those who wait for it."""
    end: Sequence[Event] = [ResponseTrailers()] if trailers else []
    body = pieces(answer, (7, 30), ends=not trailers)
    transcript = play([*ASK, response_headers(content_type=content_type), *body, *end], plan=READING)
    *_, reply, ended, screen, close = transcript.effects
    phase = Phase.RESPONSE_TRAILERS if trailers else Phase.RESPONSE_BODY
    assert (reply, close) == (Reply(phase), Close())
    assert isinstance(ended, AnswerEnded)
    assert isinstance(screen, ScreenAnswer)
    assert (screen.entry.completion, screen.policy, screen.timeout) == (COMPLETION, POLICY, 0.5)
    assert (transcript.stored(), transcript.landed()) == ([], [])


def test_what_is_not_for_the_cache_is_not_read() -> None:
    cut = pieces(JSON[1][:-1])
    assert play([*ASK, response_headers(), *cut], plan=READING).only(ScreenAnswer) == []
    left = [*ASK, response_headers(), *pieces(JSON[1], ends=False), PeerClosed()]
    assert play(left, plan=READING).only(ScreenAnswer) == []


def test_a_hit_is_compared_with_an_answer_that_is_still_to_be_read() -> None:
    plan: Snapshot = replace(READING, cache=replace(PLAN.cache, verify_share=1.0))
    messages = [*ASK, response_headers(), *pieces(JSON[1])]
    transcript = play(messages, finds_similar("Please add 2 and 2.", 0.99), plan)
    assert [each.fresh for each in transcript.only(Verify)] == [COMPLETION]
    assert transcript.only(ScreenAnswer)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (CLEAN, None),
        (Screening(0.69, types={"US_SSN": 0.49, "GPE": 1.0}), None),
        (Screening(0.0, types={"US_SSN": 0.5, "GPE": 1.0}), Uncached.PERSONAL_DATA),
        (Screening(0.7), Uncached.ATTACK),
        (Screening(0.7, types={"US_SSN": 1.0}, failed=("pii",)), Uncached.ATTACK),
        (Screening(0.0, types={"US_SSN": 1.0}, failed=("guard",)), Uncached.PERSONAL_DATA),
        (Screening(0.0, failed=("pii",)), Uncached.UNSCREENED),
        (Screening(0.0, failed=("guard",)), Uncached.UNSCREENED),
        (Screening(None), Uncached.UNSCREENED),
        (None, Uncached.UNSCREENED),
        (Screening(0.0, skipped=9), None),
    ],
)
def test_only_what_was_read_and_has_nothing_against_it_is_kept(
    found: Screening | None, reason: Uncached | None
) -> None:
    assert kept(asked(), found) is reason


@pytest.mark.parametrize("failure", list(Failure))
def test_an_answer_that_nobody_could_read_is_not_kept_and_the_failure_is_noted(failure: Failure) -> None:
    assert kept(asked(), failure) is Uncached.UNSCREENED
    assert settled(asked(), failure, AT)[-1] == PortFailed("analyst", failure)


def test_a_longer_answer_than_is_read_is_kept_where_a_sample_is_enough() -> None:
    long = Screening(0.0, read=9, skipped=1)
    assert kept(asked(), long) is None
    assert kept(asked(replace(POLICY, beyond=Beyond.REFUSE)), long) is Uncached.UNREAD
    found = replace(long, types={"PERSON": 1.0})
    assert kept(asked(replace(POLICY, beyond=Beyond.REFUSE)), found) is Uncached.PERSONAL_DATA


def test_what_is_not_looked_for_keeps_nothing_out() -> None:
    types, attack = Screening(None, types={"US_SSN": 1.0}), Screening(1.0, failed=("pii",))
    assert kept(asked(ScreeningPolicy(answers=AnswerPolicy(pii=Least()))), replace(types, types={})) is None
    assert kept(asked(ScreeningPolicy(answers=AnswerPolicy(pii=Least()))), types) is Uncached.PERSONAL_DATA
    assert kept(asked(ScreeningPolicy(answers=AnswerPolicy(guard=Least()))), attack) is Uncached.ATTACK
    only = asked(ScreeningPolicy(answers=AnswerPolicy(guard=Least())))
    assert kept(only, Screening(0.0, types={"US_SSN": 1.0}, failed=("pii",))) is None
    assert settled(only, Screening(0.0, types={"US_SSN": 1.0}), AT)[2] == AnswerScreened(
        None, "math", "large", "e", "t1", score=0.0
    )


def test_the_rule_of_the_decision_or_category_holds() -> None:
    answers = AnswerPolicy(Least(0.5, {"math": 0.9}), Least(0.7, {"math": 0.2}))
    policy = ScreeningPolicy(answers=answers)
    assert kept(asked(policy), Screening(0.1, types={"US_SSN": 0.8})) is None
    assert kept(asked(policy, category="law"), Screening(0.1, types={"US_SSN": 0.8}))
    assert kept(asked(policy), Screening(0.3)) is Uncached.ATTACK
    assert kept(asked(policy, category="law"), Screening(0.3)) is None


def test_an_answer_that_expired_meanwhile_is_not_kept() -> None:
    assert kept(asked(), CLEAN, ENTRY.expires_at) is Uncached.EXPIRED
    assert kept(asked(), CLEAN, ENTRY.expires_at - 0.1) is None


def test_the_note_has_types_scores_and_digests_and_nothing_that_was_said() -> None:
    found = Screening(0.25, types={"US_SSN": 0.9, "GPE": 1.0, "PERSON": 0.1}, skipped=7)
    note = settled(asked(), found, AT)[2]
    assert note == AnswerScreened(
        Uncached.PERSONAL_DATA, "math", "large", "e", "t1", 0.25, frozenset({"US_SSN"}), 7
    )


def test_everything_that_a_replay_says_is_read() -> None:
    said = Completion("m", "content", "stop", (("reasoning_content", "thoughts"), ("note", "more")))
    found = passages_of(said, 4096)
    assert (found.texts, found.skipped) == (("content", "thoughts", "more"), 0)
    assert passages_of(replace(said, extras=(("reasoning_content", ""),)), 4096).texts == ("content",)


@pytest.mark.parametrize("length", [1, OVERLAP, PASSAGE, PASSAGE + 1, 2 * PASSAGE - OVERLAP, 9999])
def test_a_longer_text_is_cut_to_passages_in_which_every_short_place_is_whole(length: int) -> None:
    text = "".join(chr(0x4E00 + at) for at in range(length))
    found = passages_of(Completion("m", text, "stop"), 4096)
    assert found.skipped == 0
    assert all(len(passage) <= PASSAGE for passage in found.texts)
    assert found.texts[0] + "".join(each[OVERLAP:] for each in found.texts[1:]) == text
    for at in range(0, length, 50):
        assert any(text[at : at + OVERLAP] in passage for passage in found.texts)


def test_of_more_than_is_read_a_sample_is_and_the_rest_is_counted() -> None:
    most = 4096 * CHARACTERS_PER_TOKEN
    whole = "".join(chr(0x4E00 + at) for at in range(20_000)) * 5
    found = passages_of(Completion("m", whole, "stop"), 4096)
    assert len(found.texts) == most // PASSAGE
    assert found.texts[0] == whole[:PASSAGE]
    assert whole.endswith(found.texts[-1])
    assert found.skipped >= len(whole) - most
    assert len(set(found.texts)) == len(found.texts)
    assert len(passages_of(Completion("m", "x" * 5000, "stop"), 256).texts) == 1


def test_what_is_found_in_one_passage_is_found_in_the_answer() -> None:
    one = Screening(0.1, types={"GPE": 0.5, "AGE": 0.9}, read=9)
    two = Screening(0.8, types={"GPE": 0.7}, read=5, skipped=2)
    assert together([one, two], 3) == Screening(0.8, 0, {"GPE": 0.7, "AGE": 0.9}, 14, 5)
    assert together([one, replace(two, failed=("pii",))], 0).failed == ("pii",)
    silent = together([replace(two, attack=None), one], 0)
    assert (silent.attack, silent.failed) == (0.1, ("guard",))


@pytest.mark.parametrize(("pii", "guard"), [(True, False), (False, True), (True, True)])
def test_only_what_is_asked_for_is_run(pii: bool, guard: bool) -> None:
    policy = AnswerPolicy(Least() if pii else None, Least() if guard else None)
    assert policy.enabled
    assert needs_of(policy) == Needs(guard=guard, pii=pii)
    assert not AnswerPolicy().enabled

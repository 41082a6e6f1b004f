"""What the cache may do: by a question's context and category, the client's wish, and what was taken back."""

from dataclasses import replace

import pytest

from router_extproc.base.names import VSR_CACHE_CONTROL
from router_extproc.base.refusals import Uncached
from router_extproc.caching.entry import Candidate
from router_extproc.caching.marks import Kind, Mark, Marks, Selector, pair_of
from router_extproc.caching.policy import CategoryPolicy, Mode
from router_extproc.exchange.effects import (
    CacheHit,
    CacheSkipped,
    Join,
    LookupExact,
    LookupSimilar,
)
from router_extproc.exchange.events import Event
from tests.support.play import (
    ANSWER,
    AT,
    PLAN,
    Ports,
    Transcript,
    analysis,
    chat_body,
    chat_headers,
    entry,
    finds_exactly,
    finds_similar,
    partition_of,
    pieces,
    plan_with,
    play,
    question,
    response_headers,
)

BEFORE = (("user", "What is a list?"), ("assistant", "A sequence."))


def by_meaning(transcript: Transcript) -> bool:
    return bool(transcript.only(LookupSimilar))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("yes", Uncached.SHORT_TURN),
        ("continue", Uncached.SHORT_TURN),
        ("and in Python?", Uncached.SHORT_TURN),
        ("And how fast would quick sort with threads be?", Uncached.ANAPHORA),
        ("Make it shorter with simple words for children", Uncached.ANAPHORA),
    ],
)
def test_a_later_turn_that_needs_the_one_before_is_asked_word_for_word(text: str, reason: Uncached) -> None:
    messages: list[Event] = [chat_headers(), chat_body(question(text, before=BEFORE))]
    transcript = play([*messages, response_headers(), *pieces(ANSWER)])
    assert not transcript.only(LookupSimilar)
    assert transcript.only(LookupExact)
    assert transcript.only(CacheSkipped) == [CacheSkipped(reason, storing=False)]
    assert [store.entry.exact_only for store in transcript.stored()] == [True]


def test_a_later_turn_that_stands_alone_is_asked_by_meaning() -> None:
    text = "Which sorting algorithm has stable linear memory?"
    assert by_meaning(play([chat_headers(), chat_body(question(text, before=BEFORE))]))
    system = (("system", "Be kind."),)
    assert by_meaning(play([chat_headers(), chat_body(question("What is Python?", before=system))]))


def test_a_request_that_offers_tools_is_asked_word_for_word() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    transcript = play([chat_headers(), chat_body(question(tools=tools))])
    assert transcript.only(CacheSkipped) == [CacheSkipped(Uncached.TOOLS, storing=False)]
    assert not transcript.only(LookupSimilar)
    assert by_meaning(play([chat_headers(), chat_body(question(tools=[]))]))


MATH = CategoryPolicy(Mode.SEMANTIC, threshold=0.95, ttl=7.0)


def test_a_category_that_is_off_neither_answers_nor_keeps() -> None:
    plan = plan_with(categories={"math": replace(MATH, mode=Mode.OFF)})
    answer: list[Event] = [response_headers(), *pieces(ANSWER)]
    transcript = play([chat_headers(), chat_body(), *answer], plan=plan)
    assert transcript.only(CacheSkipped) == [CacheSkipped(Uncached.CATEGORY_OFF, storing=False)]
    assert (by_meaning(transcript), transcript.stored(), transcript.landed()) == (False, [], [None])
    assert play([chat_headers(), chat_body()], Ports(exact=finds_exactly), plan).forwarded()
    assert play([chat_headers(), chat_body()], Ports(exact=finds_exactly), PLAN).immediate()


def test_a_category_that_is_exact_answers_word_for_word_only() -> None:
    plan = plan_with(categories={"math": replace(MATH, mode=Mode.EXACT)})
    answer: list[Event] = [response_headers(), *pieces(ANSWER)]
    transcript = play([chat_headers(), chat_body(), *answer], plan=plan)
    assert transcript.only(CacheSkipped) == [CacheSkipped(Uncached.CATEGORY_EXACT, storing=False)]
    assert not transcript.only(LookupSimilar)
    assert [store.entry.exact_only for store in transcript.stored()] == [True]
    assert play([chat_headers(), chat_body()], Ports(exact=finds_exactly), plan).immediate()


@pytest.mark.parametrize("mode", [Mode.EXACT, Mode.OFF])
def test_an_entry_of_a_category_that_is_not_semantic_answers_no_other_question(mode: Mode) -> None:
    plan = plan_with(categories={"law": replace(MATH, mode=mode)})
    ports = finds_similar("Please add 2 and 2.", 0.99, category="law")
    assert play([chat_headers(), chat_body()], ports, plan).forwarded()
    assert play([chat_headers(), chat_body()], ports).immediate()


@pytest.mark.parametrize(
    ("mine", "theirs", "similarity", "hits"),
    [
        (0.95, 0.80, 0.94, False),
        (0.80, 0.95, 0.94, False),
        (0.95, 0.80, 0.95, True),
        (0.80, 0.95, 0.95, True),
        (0.80, 0.80, 0.80, True),
    ],
)
def test_the_stricter_threshold_of_both_categories_counts(
    mine: float, theirs: float, similarity: float, hits: bool
) -> None:
    plan = plan_with(
        categories={"math": replace(MATH, threshold=mine), "law": replace(MATH, threshold=theirs)}
    )
    ports = finds_similar("Please add 2 and 2.", similarity, category="law")
    transcript = play([chat_headers(), chat_body()], ports, plan)
    assert bool(transcript.only(CacheHit)) is hits


def test_a_category_has_a_time_to_live_of_its_own() -> None:
    plan = plan_with(categories={"math": MATH})
    messages: list[Event] = [chat_headers(), chat_body(), response_headers(), *pieces(ANSWER)]
    [math] = play(messages, plan=plan).stored()
    [other] = play(messages, Ports(analyse=lambda effect: analysis(history=1.0)), plan).stored()
    assert (math.entry.expires_at - AT, other.entry.expires_at - AT) == (7.0, 60.0)


@pytest.mark.parametrize(("age", "hits"), [(4, False), (5, True), (6, True)])
def test_max_age_bounds_the_age_of_what_answers(age: int, hits: bool) -> None:
    ask = chat_headers((VSR_CACHE_CONTROL, f"max-age={age}"))
    for ports in (Ports(exact=finds_exactly), finds_similar("Please add 2 and 2.", 0.99)):
        assert bool(play([ask, chat_body()], ports).only(CacheHit)) is hits


@pytest.mark.parametrize(("asked", "kept"), [(5, 5.0), (60, 60.0), (999, 60.0)])
def test_a_time_to_live_of_the_client_can_only_shorten_the_policy_s(asked: int, kept: float) -> None:
    ask = chat_headers((VSR_CACHE_CONTROL, f"ttl={asked}"))
    [store] = play([ask, chat_body(), response_headers(), *pieces(ANSWER)]).stored()
    assert store.entry.expires_at == AT + kept


@pytest.mark.parametrize("value", ["no-store", "ttl=0"])
def test_what_may_not_be_kept_may_still_be_answered_and_neither_leads_nor_follows(value: str) -> None:
    ask = chat_headers((VSR_CACHE_CONTROL, value))
    assert play([ask, chat_body()], Ports(exact=finds_exactly)).immediate()
    transcript = play([ask, chat_body(), response_headers(), *pieces(ANSWER)])
    assert (transcript.only(Join), transcript.stored()) == ([], [])
    assert transcript.only(CacheSkipped) == [CacheSkipped(Uncached.CACHE_CONTROL, storing=True)]


@pytest.mark.parametrize(
    ("selector", "blocked"),
    [
        (Selector(Kind.ALL), True),
        (Selector(Kind.TENANT, "t1"), True),
        (Selector(Kind.TENANT, "t2"), False),
        (Selector(Kind.MODEL, "large"), True),
        (Selector(Kind.MODEL, "small"), False),
        (Selector(Kind.CATEGORY, "math"), True),
        (Selector(Kind.ENTRY, "e"), True),
        (Selector(Kind.ENTRY, "f"), False),
    ],
)
def test_what_was_taken_back_answers_on_no_path(selector: Selector, blocked: bool) -> None:
    """Entries are five seconds old here."""
    now, before = Marks.of([Mark(selector, AT, AT + 99)]), Marks.of([Mark(selector, AT - 6, AT + 99)])
    for ports in (
        Ports(exact=finds_exactly),
        finds_similar("Please add 2 and 2.", 0.99),
        Ports(join=lambda effect: Candidate(entry(partition_of(effect)), 1.0)),
    ):
        marked = play([chat_headers(), chat_body()], replace(ports, marks=now))
        assert bool(marked.only(CacheHit)) is not blocked
        renewed = play([chat_headers(), chat_body()], replace(ports, marks=before))
        assert renewed.only(CacheHit), "created after the mark, and answers again"


def test_a_marked_pair_is_that_question_and_that_entry_only() -> None:
    asked = play([chat_headers(), chat_body()]).only(LookupExact)[0].entry_id

    def hits(question_id: str, entry_id: str) -> bool:
        mark = Mark(Selector(Kind.PAIR, pair_of(question_id, entry_id)), AT, AT + 99)
        ports = replace(finds_similar("Please add 2 and 2.", 0.99), marks=Marks.of([mark]))
        return bool(play([chat_headers(), chat_body()], ports).only(CacheHit))

    assert not hits(asked, "e")
    assert hits("another", "e")
    assert hits(asked, "another")
    assert hits("e", asked)


def test_a_candidate_that_was_taken_back_hides_no_good_one() -> None:
    def found(effect: LookupSimilar) -> list[Candidate]:
        bad = entry(effect.partition, "Please add 2 and 2.", id="bad")
        return [Candidate(bad, 0.99), Candidate(entry(effect.partition, "Can you add 2 and 2?"), 0.9)]

    marks = Marks.of([Mark(Selector(Kind.ENTRY, "bad"), AT, AT + 99)])
    [hit] = play([chat_headers(), chat_body()], Ports(similar=found, marks=marks)).only(CacheHit)
    assert hit.entry == "e"

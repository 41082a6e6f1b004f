"""The gates: who may ask, what may answer, what may be kept."""

from dataclasses import replace
from typing import Any

import pytest

from router_extproc.base.completion import Completion, Unfoldable
from router_extproc.base.headers import Headers
from router_extproc.base.refusals import Uncached
from router_extproc.caching.control import BYPASS, CacheControl
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.caching.guard import Difference
from router_extproc.caching.identity import Identity
from router_extproc.caching.marks import Kind, Mark, Marks, Selector
from router_extproc.caching.policy import (
    Allowed,
    Bounds,
    CachePolicy,
    CacheUse,
    CategoryPolicy,
    Consent,
    Doubtful,
    Mode,
    Refused,
    admits,
    by_meaning,
    choose,
    exact_only,
    judged,
    may_record,
    may_store,
    may_use,
    media_type,
)
from router_extproc.caching.scope import Tenancy
from tests.support.play import AT, entry

SEMANTIC = CategoryPolicy(Mode.SEMANTIC, threshold=0.85, ttl=60.0)
POLICY = CachePolicy(
    enabled=True,
    tenancy=Tenancy(),
    default=SEMANTIC,
    max_answer_bytes=4096,
    lookup_timeout=0.05,
    max_temperature=1.0,
    categories={
        "strict": replace(SEMANTIC, threshold=0.95),
        "exact": replace(SEMANTIC, mode=Mode.EXACT),
        "off": replace(SEMANTIC, mode=Mode.OFF),
    },
)
TEXT = "Add 2 and 2."
USE = CacheUse(Identity("t1", "p", "q", TEXT), CacheControl())
NOW = Bounds(Marks(), AT)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({}, None),
        ({"n": b"1"}, None),
        ({"n": b"null"}, None),
        ({"n": b"2"}, Uncached.MULTIPLE_CHOICES),
        ({"n": b'"1"'}, Uncached.MULTIPLE_CHOICES),
        ({"logprobs": b"false"}, None),
        ({"logprobs": b"null"}, None),
        ({"logprobs": b"true"}, Uncached.LOGPROBS),
        ({"logprobs": b"0"}, Uncached.LOGPROBS),
        ({"temperature": b"null"}, None),
        ({"temperature": b"0"}, None),
        ({"temperature": b"0.7"}, None),
        ({"temperature": b"1.0"}, None),
        ({"temperature": b"1.01"}, Uncached.TEMPERATURE),
        ({"temperature": b"1.5"}, Uncached.TEMPERATURE),
        ({"temperature": b"2"}, Uncached.TEMPERATURE),
        ({"temperature": b"true"}, Uncached.TEMPERATURE),
        ({"temperature": b'"0"'}, Uncached.TEMPERATURE),
        ({"temperature": b"[0]"}, Uncached.TEMPERATURE),
    ],
)
def test_some_parameters_keep_a_request_from_the_cache(
    params: dict[str, bytes], reason: Uncached | None
) -> None:
    assert may_use(POLICY, "t1", TEXT, params) is reason


@pytest.mark.parametrize("reason", [Uncached.NO_IDENTITY, Uncached.AMBIGUOUS_IDENTITY])
def test_nobody_in_particular_may_not_ask(reason: Uncached) -> None:
    assert may_use(POLICY, reason, TEXT, {}) is reason


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_a_last_turn_without_text_may_not_ask(text: str | None) -> None:
    assert may_use(POLICY, "t1", text, {}) is Uncached.LAST_TURN_NOT_TEXT


def test_a_cache_that_is_off_is_off_for_everybody() -> None:
    assert may_use(replace(POLICY, enabled=False), "t1", TEXT, {}) is Uncached.DISABLED


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({}, None),
        ({"tools": b"[]"}, None),
        ({"tools": b"null"}, None),
        ({"tools": b"[{}]"}, Uncached.TOOLS),
        ({"functions": b"[{}]"}, Uncached.TOOLS),
        ({"tools": b'"odd"'}, Uncached.TOOLS),
    ],
)
def test_tools_are_asked_for_word_for_word(params: dict[str, bytes], reason: Uncached | None) -> None:
    assert exact_only(TEXT, params, later=False) is reason


def test_context_is_asked_for_word_for_word() -> None:
    assert exact_only("yes", {}, later=True) is Uncached.SHORT_TURN
    assert exact_only(TEXT, {}, later=False) is None


@pytest.mark.parametrize(
    ("mode", "truncated", "known", "reason"),
    [
        (Mode.SEMANTIC, False, None, None),
        (Mode.SEMANTIC, True, None, Uncached.TRUNCATED),
        (Mode.SEMANTIC, False, Uncached.TOOLS, Uncached.TOOLS),
        (Mode.SEMANTIC, True, Uncached.TOOLS, Uncached.TRUNCATED),
        (Mode.EXACT, True, Uncached.TOOLS, Uncached.CATEGORY_EXACT),
        (Mode.EXACT, False, None, Uncached.CATEGORY_EXACT),
    ],
)
def test_any_reason_is_enough_to_compare_word_for_word(
    mode: Mode, truncated: bool, known: Uncached | None, reason: Uncached | None
) -> None:
    assert by_meaning(replace(USE, exact_only=known), mode, truncated=truncated) is reason


OLD = replace(USE, control=CacheControl(max_age=5))
TOO_OLD = replace(USE, control=CacheControl(max_age=4))
MARKED = Bounds(Marks.of([Mark(Selector(Kind.ENTRY, "e"), AT, AT + 9)]), AT)


@pytest.mark.parametrize(
    ("changes", "use", "bounds", "admitted"),
    [
        ({}, USE, NOW, True),
        ({"partition": "another"}, USE, NOW, False),
        ({"expires_at": AT}, USE, NOW, False),
        ({"expires_at": AT + 0.001}, USE, NOW, True),
        ({"expires_at": AT - 9}, USE, replace(NOW, grace=10.0), True),
        ({"expires_at": AT - 10}, USE, replace(NOW, grace=10.0), False),
        ({}, OLD, NOW, True),
        ({}, TOO_OLD, NOW, False),
        ({}, USE, MARKED, False),
        ({"created_at": AT + 1}, USE, MARKED, True),
        ({"category": "off"}, USE, NOW, False),
        ({"category": "exact"}, USE, NOW, True),
        ({"exact_only": True}, USE, NOW, True),
    ],
)
def test_an_entry_is_admitted_by_all_that_is_known_of_it(
    changes: dict[str, Any], use: CacheUse, bounds: Bounds, admitted: bool
) -> None:
    made = replace(entry("p"), **changes)
    assert admits(POLICY, use, made, bounds) is admitted


def chosen(*candidates: tuple[Entry, float], category: str = "", use: CacheUse = USE) -> str | None:
    choice = choose(POLICY, use, category, [Candidate(*each) for each in candidates], NOW)
    return choice.hit.entry.id if choice.hit else None


PARAPHRASE = entry("p", "Please add 2 and 2.", id="paraphrase", category="")
SAME = entry("p", TEXT, id="same", category="")
OTHER = entry("p", "Add 2 and 3.", id="other", category="")


@pytest.mark.parametrize(
    ("mine", "theirs", "similarity", "hits"),
    [
        ("", "", 0.85, True),
        ("", "", 0.849, False),
        ("strict", "", 0.949, False),
        ("", "strict", 0.949, False),
        ("strict", "", 0.95, True),
        ("", "strict", 0.95, True),
        ("", "unheard of", 0.85, True),
        ("", "exact", 1.0, False),
        ("", "off", 1.0, False),
    ],
)
def test_the_stricter_category_decides(mine: str, theirs: str, similarity: float, hits: bool) -> None:
    found = chosen((replace(PARAPHRASE, category=theirs), similarity), category=mine)
    assert (found is not None) is hits


def test_the_same_words_need_no_similarity() -> None:
    """A vector made by an encoder under another load may differ in its last bits."""
    assert chosen((replace(SAME, exact_only=True), 0.2)) == "same"
    assert chosen((replace(SAME, partition="another"), 1.0)) is None


def test_the_most_similar_that_may_answer_does() -> None:
    assert chosen((PARAPHRASE, 0.9), (replace(PARAPHRASE, id="nearer"), 0.95)) == "nearer"
    assert chosen((OTHER, 0.99), (PARAPHRASE, 0.9)) == "paraphrase"
    assert chosen((replace(PARAPHRASE, id="gone", expires_at=AT), 0.99), (PARAPHRASE, 0.9)) == "paraphrase"
    assert chosen((replace(PARAPHRASE, id="only", exact_only=True), 0.99), (PARAPHRASE, 0.9)) == "paraphrase"
    assert chosen((SAME, 0.8), (PARAPHRASE, 0.9)) == "paraphrase"
    assert chosen() is None


def test_what_the_guard_held_back_is_counted_and_nothing_else() -> None:
    candidates = [
        Candidate(OTHER, 0.99),
        Candidate(replace(OTHER, text="Add 2 and 4."), 0.98),
        Candidate(replace(OTHER, text="Do not add 2 and 2."), 0.97),
        Candidate(replace(OTHER, partition="another"), 0.96),
        Candidate(OTHER, 0.5),
    ]
    choice = choose(POLICY, USE, "", candidates, NOW)
    assert choice.hit is None
    assert choice.refused == {Difference.NUMBER: 2, Difference.NEGATION: 1}


VERIFYING = replace(POLICY, verifier=Consent(0.5, 0.0))


def proposed(*candidates: Candidate) -> tuple[str | None, list[str], dict[Difference, int]]:
    """With a verifier: the id of what answers, of what the verifier is asked about, and what was refused."""
    choice = choose(VERIFYING, USE, "", candidates, NOW)
    hit = choice.hit.entry.id if choice.hit else None
    return hit, [each.candidate.entry.id for each in choice.doubtful], dict(choice.refused)


def test_with_a_verifier_nothing_answers_in_other_words_unasked() -> None:
    assert proposed(Candidate(PARAPHRASE, 1.0)) == (None, ["paraphrase"], {})


def test_the_same_words_need_no_verifier_whatever_is_more_similar() -> None:
    assert proposed(Candidate(PARAPHRASE, 1.0), Candidate(SAME, 0.2)) == ("same", [], {})


def test_the_verifier_is_asked_about_few_and_the_most_similar_first() -> None:
    many = [Candidate(replace(PARAPHRASE, id=f"p{tenths}"), tenths / 1000) for tenths in (901, 950, 920, 999)]
    assert proposed(*many) == (None, ["p999", "p950", "p920"], {})


@pytest.mark.parametrize(
    ("changes", "similarity"),
    [
        ({}, 0.849),
        ({"category": "strict"}, 0.949),
        ({"category": "exact"}, 1.0),
        ({"category": "off"}, 1.0),
        ({"exact_only": True}, 1.0),
        ({"partition": "another"}, 1.0),
        ({"expires_at": AT}, 1.0),
    ],
)
def test_the_verifier_is_not_asked_about_what_could_not_answer(
    changes: dict[str, Any], similarity: float
) -> None:
    assert proposed(Candidate(replace(PARAPHRASE, **changes), similarity)) == (None, [], {})


def test_with_a_verifier_only_decisive_differences_are_refused_unasked() -> None:
    doubtful = replace(PARAPHRASE, text="Why add 2 and 2?")
    assert choose(POLICY, USE, "", [Candidate(doubtful, 0.9)], NOW).refused != {}
    found = proposed(Candidate(OTHER, 0.99), Candidate(doubtful, 0.9))
    assert found == (None, ["paraphrase"], {Difference.NUMBER: 1})


@pytest.mark.parametrize(
    ("probability", "difference"),
    [
        (None, Difference.TOO_LONG),
        (0.0, Difference.VERIFIER),
        (0.499, Difference.VERIFIER),
        (0.5, None),
        (1.0, None),
    ],
)
def test_the_verifier_accepts_from_its_threshold_on(
    probability: float | None, difference: Difference | None
) -> None:
    assert judged(Doubtful(Candidate(PARAPHRASE, 0.9), 0.5), probability) is difference


def test_where_the_guard_saw_nothing_the_verifier_can_only_veto() -> None:
    signs = replace(PARAPHRASE, text="Why add 2 and 2?", id="signs")
    candidates = [Candidate(PARAPHRASE, 0.9), Candidate(signs, 0.89)]
    choice = choose(replace(POLICY, verifier=Consent(0.5, 0.1)), USE, "", candidates, NOW)
    assert [(each.candidate.entry.id, each.least) for each in choice.doubtful] == [
        ("paraphrase", 0.1),
        ("signs", 0.5),
    ]


DONE = Completion("m", "Four.", "stop")


@pytest.mark.parametrize(
    ("control", "kept"),
    [
        (CacheControl(), 60.0),
        (CacheControl(ttl=5.0), 5.0),
        (CacheControl(ttl=500.0), 60.0),
        (CacheControl(max_age=1.0), 60.0),
        (CacheControl(asks=False), 60.0),
    ],
)
def test_an_answer_is_kept_for_the_shorter_time(control: CacheControl, kept: float) -> None:
    assert may_store(replace(USE, control=control), SEMANTIC, DONE) == Allowed(DONE, kept)


@pytest.mark.parametrize("reason", list(Uncached))
def test_what_has_no_canonical_form_is_refused_with_its_reason(reason: Uncached) -> None:
    assert may_store(USE, SEMANTIC, Unfoldable(reason)) == Refused(reason)


@pytest.mark.parametrize("folded", [DONE, Unfoldable(Uncached.REFUSAL)])
def test_who_wants_nothing_kept_and_what_is_off_comes_first(folded: Any) -> None:
    for control in (BYPASS, CacheControl(keeps=False)):
        refused = may_store(replace(USE, control=control), SEMANTIC, folded)
        assert refused == Refused(Uncached.CACHE_CONTROL)
    assert may_store(USE, replace(SEMANTIC, mode=Mode.OFF), folded) == Refused(Uncached.CATEGORY_OFF)


def headers(**fields: str) -> Headers:
    found = {":status": "200", "content-type": "application/json"}
    return Headers.of((found | {name.replace("_", "-"): v for name, v in fields.items()}).items())


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (headers(), None),
        (headers(content_type="Text/Event-Stream; charset=utf-8"), None),
        (headers(content_encoding="identity"), None),
        (headers(content_type="text/html"), Uncached.CONTENT_TYPE),
        (headers(content_type=""), Uncached.CONTENT_TYPE),
        (headers(content_encoding="gzip"), Uncached.CONTENT_ENCODING),
        (headers(content_encoding="identity, gzip"), Uncached.CONTENT_ENCODING),
        (headers(**{":status": "206"}), Uncached.STATUS),
        (headers(**{":status": ""}), Uncached.STATUS),
    ],
)
def test_some_answers_are_not_read(event: Headers, reason: Uncached | None) -> None:
    assert may_record(event) is reason


def test_a_media_type_has_no_parameters_and_no_case() -> None:
    assert media_type(headers(content_type=" Application/JSON ; charset=utf-8")) == "application/json"


def test_a_category_without_a_policy_has_the_default() -> None:
    assert POLICY.of("law") is POLICY.of("") is POLICY.default
    assert POLICY.of("exact").mode is Mode.EXACT


CONSENT = Consent(sign=0.95, plain=0.88, sign_ease=12.0, plain_ease=40.0, questions_only=True)


@pytest.mark.parametrize("signed", [True, False])
def test_the_nearer_the_vectors_the_less_a_verifier_must_say(signed: bool) -> None:
    least = [CONSENT.least(similarity, signed=signed) for similarity in (0.7, 0.8, 0.9, 1.0)]
    assert least == sorted(least, reverse=True)
    assert least[1] == pytest.approx(0.95 if signed else 0.88)
    assert all(0 < each < 1 for each in least)
    assert Consent(1.0, 0.0).least(0.9, signed=signed) == (1.0 if signed else 0.0)


@pytest.mark.parametrize(
    ("texts", "asked"),
    [
        (("What is two plus two?", "What's two plus two?"), True),
        (("Add two and two.", "Please add two and two."), False),
    ],
)
def test_a_verifier_of_questions_is_not_asked_about_orders_without_a_sign(
    texts: tuple[str, str], asked: bool
) -> None:
    use = replace(USE, identity=replace(USE.identity, text=texts[0]))
    found = Candidate(replace(entry("p"), text=texts[1]), 0.9)
    choice = choose(replace(POLICY, verifier=CONSENT), use, "", [found], NOW)
    assert (choice.hit is None, len(choice.doubtful)) == (asked, int(asked))


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("how do vaccines work", True),
        ("Hi, what is inflation", True),
        ("How do I reset it? Thanks", True),
        ("Reset my password", False),
        ("Please add two and two.", False),
    ],
)
def test_a_question_is_one_without_its_mark_too(text: str, asks: bool) -> None:
    mine = replace(USE, identity=replace(USE.identity, text=text))
    found = Candidate(replace(entry("p"), text=text + " "), 0.9)
    choice = choose(replace(POLICY, verifier=CONSENT), mine, "", [found], NOW)
    assert (bool(choice.doubtful), choice.hit is None) == (asks, asks)

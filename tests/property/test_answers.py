"""I14: while answers are read before they are kept, nobody but their own client gets one that is unread, that
holds what must not be kept, or that came in time for nobody to look."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from router_extproc.base.completion import Completion
from router_extproc.base.refusals import Failure
from router_extproc.caching.entry import Candidate
from router_extproc.exchange.effects import AnswerScreened, CacheSkipped, Close, Land, ScreenAnswer, Store
from router_extproc.exchange.events import Event, ResponseTrailers
from router_extproc.exchange.keeping import settled
from router_extproc.llm.render import render_json, render_sse
from router_extproc.screening.policy import AnswerPolicy, Beyond, Least, ScreeningPolicy
from router_extproc.screening.reading import Screening
from tests.support.play import AT, PLAN, chat_body, chat_headers, entry, pieces, play, response_headers

TYPES = ("PERSON", "US_SSN", "GPE")
leasts = st.one_of(
    st.none(),
    st.builds(
        Least,
        st.sampled_from([0.5, 0.9]),
        st.dictionaries(st.sampled_from(["math", "law"]), st.sampled_from([0.5, 0.9]), max_size=1),
    ),
)
policies = st.builds(
    ScreeningPolicy,
    beyond=st.sampled_from(Beyond),
    answers=st.builds(AnswerPolicy, leasts, leasts, st.frozensets(st.sampled_from(TYPES))).filter(
        lambda answers: answers.enabled
    ),
)
founds = st.one_of(
    st.none(),
    st.sampled_from(Failure),
    st.builds(
        Screening,
        st.sampled_from([None, 0.0, 0.49, 0.5, 0.9, 1.0]),
        types=st.dictionaries(st.sampled_from(TYPES), st.sampled_from([0.4, 0.5, 0.9, 1.0])),
        skipped=st.sampled_from([0, 0, 9]),
        failed=st.sampled_from([(), (), (), ("guard",), ("pii",), ("guard", "pii")]),
    ),
)


def may_be_kept(policy: ScreeningPolicy, found: Screening | Failure | None) -> bool:
    """Worked out again, for an answer of the category math."""
    if found is None or isinstance(found, Failure):
        return False
    if policy.beyond is Beyond.REFUSE and found.skipped:
        return False
    answers = policy.answers
    if answers.guard is not None:
        least = answers.guard.overrides.get("math", answers.guard.default)
        if "guard" in found.failed or found.attack is None or found.attack >= least:
            return False
    if answers.pii is not None:
        least = answers.pii.overrides.get("math", answers.pii.default)
        if "pii" in found.failed:
            return False
        return not any(score >= least for kind, score in found.types.items() if kind not in answers.allowed)
    return True


@settings(deadline=None, max_examples=400)
@given(policies, founds, st.sampled_from([AT, AT + 1]))
def test_i14_an_answer_is_kept_and_shared_only_if_it_was_read_and_nothing_stands_against_it(
    policy: ScreeningPolicy, found: Screening | Failure | None, at: float
) -> None:
    kept = entry("p1")
    effects = settled(ScreenAnswer(kept, policy, 0.5), found, at)
    wanted = may_be_kept(policy, found) and at < kept.expires_at
    assert [e.entry for e in effects if isinstance(e, Store)] == ([kept] if wanted else [])
    landed = [e.candidate for e in effects if isinstance(e, Land)]
    assert landed == [Candidate(kept, 1.0) if wanted else None]
    [note] = [e for e in effects if isinstance(e, AnswerScreened)]
    skipped = [e.reason for e in effects if isinstance(e, CacheSkipped)]
    assert skipped == ([] if wanted else [note.refused])


@settings(deadline=None)
@given(
    policies,
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=40),
    st.booleans(),
    st.booleans(),
    st.lists(st.integers(0, 10_000), max_size=6),
    st.sampled_from(["stop", "stop", "length"]),
)
def test_i14_the_exchange_itself_keeps_and_shares_nothing_unread(
    policy: ScreeningPolicy, text: str, streamed: bool, trailers: bool, cuts: list[int], finish: str
) -> None:
    """Whatever the form; and it asks for it to be read once, after the client has all of it."""
    said = Completion("large", text, finish)
    body = render_sse(said, "chatcmpl-1", 1, True) if streamed else render_json(said, "chatcmpl-1", 1)
    headers = response_headers(content_type="text/event-stream" if streamed else "application/json")
    ends: list[Event] = [ResponseTrailers()] if trailers else []
    answer = [headers, *pieces(body, cuts, ends=not trailers), *ends]
    transcript = play([chat_headers(), chat_body(), *answer], plan=replace(PLAN, screening=policy))
    assert transcript.stored() == []
    assert [landed for landed in transcript.landed() if landed is not None] == []
    asked = transcript.only(ScreenAnswer)
    assert [each.entry.completion for each in asked] == ([said] if finish == "stop" else [])
    if asked:
        assert [type(effect) for effect in transcript.effects[-2:]] == [ScreenAnswer, Close]

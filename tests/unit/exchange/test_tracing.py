from dataclasses import replace

import pytest

from router_extproc.base.headers import Headers
from router_extproc.base.trace import parse_traceparent
from router_extproc.exchange.effects import Reply, Routed
from router_extproc.exchange.events import RequestHeaders
from router_extproc.exchange.notes import Judged, Opened, Understood
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.exchange.tracing import Tracing, debug_digest, traced
from tests.support.play import AT, PLAN, chat_body, chat_headers, play

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = ("traceparent", f"00-{TRACE}-{SPAN}-01")
WORD = "open sesame"
ON = replace(PLAN, tracing=Tracing(sends=True, debug=debug_digest(WORD)))


def opened(plan: Snapshot, *fields: tuple[str, str], ident: str = "x1") -> Opened:
    [note] = play([chat_headers(*fields)], plan=plan, ident=ident).only(Opened)
    return note


def told(plan: Snapshot, *fields: tuple[str, str]) -> Reply:
    return play([chat_headers(*fields), chat_body()], plan=plan).forwarded()


def test_a_request_has_two_spans_in_its_caller_s_trace_and_the_model_gets_the_second() -> None:
    note = opened(ON, CALLER)
    assert (note.root.trace_id, note.upstream.trace_id, note.parent, note.at) == (TRACE, TRACE, SPAN, AT)
    assert len({SPAN, note.root.span_id, note.upstream.span_id}) == 3
    assert dict(told(ON, CALLER).edits.set)["traceparent"] == note.upstream.header()


def test_without_a_caller_a_trace_begins_and_each_request_has_its_own() -> None:
    one, other = opened(ON), opened(ON, ident="x2")
    assert one.parent == ""
    assert one.root.trace_id != other.root.trace_id
    assert parse_traceparent([one.root.header()]) == one.root


def test_switched_off_the_caller_s_context_passes_as_it_came_and_is_still_noted() -> None:
    assert "traceparent" not in dict(told(PLAN, CALLER).edits.set)
    assert "traceparent" not in told(PLAN, CALLER).edits.remove
    assert opened(PLAN, CALLER).root.trace_id == TRACE


@pytest.mark.parametrize("plan", [PLAN, ON])
def test_state_and_baggage_are_not_touched(plan: Snapshot) -> None:
    edits = told(plan, CALLER, ("tracestate", "v=1"), ("baggage", "k=v")).edits
    assert not {"tracestate", "baggage"} & {*dict(edits.set), *edits.remove}


@pytest.mark.parametrize(
    ("plan", "parents", "removed"),
    [
        (ON, (), True),
        (ON, ("nonsense",), True),
        (ON, (CALLER[1],), False),
        (PLAN, (), False),
    ],
)
def test_the_state_of_a_trace_that_does_not_go_on_is_removed(
    plan: Snapshot, parents: tuple[str, ...], removed: bool
) -> None:
    fields = [("traceparent", each) for each in parents]
    first, *_ = play([chat_headers(*fields, ("tracestate", "v=1"))], plan=plan).effects
    assert isinstance(first, Reply)
    assert ("tracestate" in first.edits.remove) is removed


def test_the_caller_s_choice_stands_and_a_share_of_new_traces_is_kept() -> None:
    half = replace(ON, tracing=Tracing(sends=True, ratio=0.5))
    assert not opened(ON, ("traceparent", f"00-{TRACE}-{SPAN}-00")).root.sampled
    assert opened(replace(ON, tracing=Tracing(sends=True, ratio=0.0)), CALLER).root.sampled
    kept = sum(opened(half, ident=f"x{number}").root.sampled for number in range(400))
    assert 150 < kept < 250
    assert not opened(replace(ON, tracing=Tracing(sends=True, ratio=0.0))).root.sampled


@pytest.mark.parametrize(
    ("sent", "shown"), [((), False), ((WORD,), True), (("guess",), False), ((WORD, WORD), False)]
)
def test_only_the_word_has_a_request_shown(sent: tuple[str, ...], shown: bool) -> None:
    headers = Headers.of([("x-router-debug", word) for word in sent])
    assert traced("x1", headers, ON.tracing).debug is shown
    assert not traced("x1", headers, PLAN.tracing).debug


def test_a_shown_request_is_kept_whatever_its_caller_wants() -> None:
    note = opened(ON, ("traceparent", f"00-{TRACE}-{SPAN}-00"), ("x-router-debug", WORD))
    assert note.root.sampled
    assert note.upstream.sampled


def test_the_word_is_removed_whether_it_is_known_or_not() -> None:
    for plan in (PLAN, ON):
        assert "x-router-debug" in told(plan, ("x-router-debug", WORD)).edits.remove
    other = Headers.of([(":method", "GET"), (":path", "/health"), ("x-router-debug", WORD)])
    [reply] = play([RequestHeaders(other, end_of_stream=True)], plan=ON).replies()
    assert isinstance(reply, Reply)
    assert "x-router-debug" in reply.edits.remove


def test_the_word_is_not_in_what_a_plan_looks_like() -> None:
    assert debug_digest(WORD) not in repr(ON)


def test_traced_and_untraced_requests_differ_in_the_header_alone() -> None:
    plain, with_traces = (play([chat_headers(CALLER), chat_body()], plan=plan) for plan in (PLAN, ON))
    assert [type(effect) for effect in plain.effects] == [type(effect) for effect in with_traces.effects]
    difference = set(with_traces.forwarded().edits.set) - set(plain.forwarded().edits.set)
    assert {name for name, _ in difference} == {"traceparent"}


def test_how_a_request_was_judged_is_noted_once() -> None:
    transcript = play([chat_headers(), chat_body()])
    [understood], [judged] = transcript.only(Understood), transcript.only(Judged)
    [routed] = transcript.only(Routed)
    assert judged.trace.outcome.model == routed.model
    assert understood.requested == "auto"
    assert understood.tenant is not None
    assert judged.tokens == 5

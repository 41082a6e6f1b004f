import pytest

from router_extproc.base.trace import TraceContext, parse_traceparent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_caller_s_span_is_read_and_written_as_it_came() -> None:
    found = parse_traceparent([f"00-{TRACE}-{SPAN}-01"])
    assert found == TraceContext(TRACE, SPAN, 1)
    assert found.sampled
    assert found.header() == f"00-{TRACE}-{SPAN}-01"


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert parse_traceparent([f"cc-{TRACE}-{SPAN}-fd-more"]) == TraceContext(TRACE, SPAN, 1)
    assert parse_traceparent([f" 00-{TRACE}-{SPAN}-02\t"]) == TraceContext(TRACE, SPAN, 2)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        [f"00-{TRACE}-{SPAN}"],
        [f"00-{TRACE}-{SPAN}-01-more"],
        [f"ff-{TRACE}-{SPAN}-01"],
        [f"00-{TRACE.upper()}-{SPAN}-01"],
        [f"00-{'0' * 32}-{SPAN}-01"],
        [f"00-{TRACE}-{'0' * 16}-01"],
        [f"00-{TRACE[1:]}-{SPAN}-01"],
        [f"00-{TRACE}-{SPAN}-0g"],
        [f"00-{TRACE}-{SPAN}-01\n"],
        [f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01"],
    ],
)
def test_what_is_not_well_formed_begins_a_new_trace(values: list[str]) -> None:
    assert parse_traceparent(values) is None


def test_a_child_keeps_the_caller_s_choice_unless_it_is_overruled() -> None:
    caller = TraceContext(TRACE, SPAN, 2)
    assert caller.child("a" * 16) == TraceContext(TRACE, "a" * 16, 2)
    assert caller.child("a" * 16, sampled=True).flags == 3
    assert TraceContext(TRACE, SPAN, 3).child("a" * 16, sampled=False).flags == 2

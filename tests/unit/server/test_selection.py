"""What a request selects: nothing that is left out or misspelt may select more."""

import pytest
from multidict import MultiDict

from router_extproc.caching.marks import Kind, Selector
from router_extproc.server.replies import RefusedError
from router_extproc.server.selection import (
    Invalidation,
    Listing,
    feedback_of,
    flush_of,
    invalidation_of,
    listing_of,
    selector_of,
)

ID = "0123456789abcdef" * 2


def test_no_parameter_selects_everything() -> None:
    assert selector_of(MultiDict()) == Selector(Kind.ALL)
    assert listing_of(MultiDict()) == Listing(Selector(Kind.ALL), 100, text=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [("tenant", "t"), ("model", "a b"), ("category", ""), ("entry", ID), ("tenant", "' or 1=1 --")],
)
def test_a_parameter_selects_its_value(name: str, value: str) -> None:
    assert selector_of(MultiDict({name: value})) == Selector(Kind(name), value)
    assert invalidation_of(f'{{"{name}": "{value}"}}'.encode()) == Invalidation(
        Selector(Kind(name), value), dry_run=False
    )


def test_a_pair_and_everything_are_no_parameters() -> None:
    for name in ("pair", "all"):
        with pytest.raises(RefusedError, match=name):
            selector_of(MultiDict({name: "x"}))


def test_everything_has_to_be_said_to_be_invalidated() -> None:
    assert invalidation_of(b'{"all": true, "dry_run": true}') == Invalidation(
        Selector(Kind.ALL), dry_run=True
    )
    for body in (
        b"",
        b"{}",
        b'{"dry_run": true}',
        b'{"all": false}',
        b'{"tenant": null}',
        b'{"all": "true"}',
    ):
        with pytest.raises(RefusedError) as raised:
            invalidation_of(body)
        assert raised.value.status == 400


def test_what_a_client_wrote_is_not_repeated_at_length() -> None:
    with pytest.raises(RefusedError) as raised:
        invalidation_of(b'{"%s": 1}' % (b"x" * 50_000))
    assert len(raised.value.message) < 400
    with pytest.raises(RefusedError) as raised:
        selector_of(MultiDict({"x" * 5000: "1"}))
    assert len(raised.value.message) < 400


@pytest.mark.parametrize("body", [b"[" * 50_000, b"\xff", b'"\\ud800"', b"nul", b"{}{}"])
def test_rubbish_is_refused(body: bytes) -> None:
    for parse in (invalidation_of, flush_of, feedback_of):
        with pytest.raises(RefusedError):
            parse(body)


def test_a_flush_needs_no_body() -> None:
    flush_of(b"")
    flush_of(b" {} ")


def test_feedback_names_the_id_at_fault() -> None:
    assert feedback_of(f'{{"entry": "{ID}", "question": "{ID}"}}'.encode()).entry == ID
    with pytest.raises(RefusedError) as raised:
        feedback_of(f'{{"entry": "{ID}", "question": "{ID.upper()}"}}'.encode())
    assert raised.value.param == "question"

"""What a request selects: nothing that is left out or misspelt may select more."""

from typing import Any

import pytest
from multidict import MultiDict

from router_extproc.caching.marks import Kind, Selector
from router_extproc.server.api.intake import body_as, parameters_of
from router_extproc.server.replies import Code, RefusedError
from router_extproc.server.selection import (
    FeedbackRequest,
    FlushRequest,
    Invalidation,
    InvalidationRequest,
    ListingQuery,
    Selection,
    invalidation_of,
    selector_of,
)

ID = "0123456789abcdef" * 2


def selected(**query: str) -> Selector:
    return selector_of(parameters_of(Selection, {}, MultiDict(query)))


def invalidated(body: bytes) -> Invalidation:
    return invalidation_of(body_as(InvalidationRequest, body))


def test_no_parameter_selects_everything() -> None:
    assert selected() == Selector(Kind.ALL)
    listing = parameters_of(ListingQuery, {}, MultiDict())
    assert (selector_of(listing), listing.limit, listing.text) == (Selector(Kind.ALL), 100, False)


@pytest.mark.parametrize(
    ("name", "value"),
    [("tenant", "t"), ("model", "a b"), ("category", ""), ("entry", ID), ("tenant", "' or 1=1 --")],
)
def test_a_parameter_selects_its_value(name: str, value: str) -> None:
    assert selected(**{name: value}) == Selector(Kind(name), value)
    assert invalidated(f'{{"{name}": "{value}"}}'.encode()) == Invalidation(
        Selector(Kind(name), value), dry_run=False
    )


def test_a_pair_and_everything_are_no_parameters() -> None:
    for name in ("pair", "all"):
        with pytest.raises(RefusedError, match=name):
            selected(**{name: "x"})


def test_everything_has_to_be_said_to_be_invalidated() -> None:
    assert invalidated(b'{"all": true, "dry_run": true}') == Invalidation(Selector(Kind.ALL), dry_run=True)
    for body in (
        b"",
        b"{}",
        b'{"dry_run": true}',
        b'{"all": false}',
        b'{"tenant": null}',
        b'{"all": "true"}',
    ):
        with pytest.raises(RefusedError) as raised:
            invalidated(body)
        assert raised.value.code is Code.INVALID_INPUT


def test_what_a_client_wrote_is_not_repeated_at_length() -> None:
    with pytest.raises(RefusedError) as raised:
        invalidated(b'{"%s": 1}' % (b"x" * 50_000))
    assert len(raised.value.message) < 400
    with pytest.raises(RefusedError) as raised:
        selected(**{"x" * 5000: "1"})
    assert len(raised.value.message) < 400


@pytest.mark.parametrize("body", [b"[" * 50_000, b"\xff", b'"\\ud800"', b"nul", b"{}{}"])
@pytest.mark.parametrize("kind", [InvalidationRequest, FlushRequest, FeedbackRequest])
def test_rubbish_is_refused(kind: Any, body: bytes) -> None:
    with pytest.raises(RefusedError):
        body_as(kind, body)


@pytest.mark.parametrize("wrong", [ID.upper(), ID[1:], ID + "0", ID + "\\n", ID[1:] + "\\n", ""])
def test_feedback_names_the_id_at_fault(wrong: str) -> None:
    row = body_as(FeedbackRequest, f'{{"entry": "{ID}", "question": "{ID}"}}'.encode())
    assert (row.entry, row.question) == (ID, ID)
    with pytest.raises(RefusedError, match="question"):
        body_as(FeedbackRequest, f'{{"entry": "{ID}", "question": "{wrong}"}}'.encode())

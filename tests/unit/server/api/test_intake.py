"""Bodies and parameters become Shapes, or refusals that name what is wrong."""

import pytest
from multidict import MultiDict

from router_extproc.server.api.classify_shapes import MAX_TEXT, MAX_TEXTS, BatchRequest, IntentRequest
from router_extproc.server.api.intake import body_as, parameters_of
from router_extproc.server.replies import Code, RefusedError
from router_extproc.server.selection import ListingQuery


def refused(body: bytes) -> RefusedError:
    with pytest.raises(RefusedError) as raised:
        body_as(BatchRequest, body)
    return raised.value


def test_a_batch_of_too_many_has_a_code_of_its_own() -> None:
    texts = ",".join(['"x"'] * (MAX_TEXTS + 1))
    assert refused(f'{{"texts": [{texts}]}}'.encode()).code is Code.BATCH_TOO_LARGE
    assert refused(b'{"texts": []}').code is Code.INVALID_INPUT
    whole = ",".join(['"x"'] * MAX_TEXTS)
    assert len(body_as(BatchRequest, f'{{"texts": [{whole}]}}'.encode()).texts) == MAX_TEXTS


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"text": "x", "option": {}}', "option"),
        (b'{"text": "x", "options": {"return_probability": true}}', "return_probability"),
        (b'{"text": "x", "options": {"confidence_threshold": 1.5}}', "confidence_threshold"),
        (b'{"text": ""}', "text"),
        (b'{"text": "%s"}' % (b"x" * (MAX_TEXT + 1)), "text"),
        (b"{}", "text"),
        (b'{"text": "\\ud800"}', "body"),
    ],
)
def test_what_is_wrong_is_named(body: bytes, named: str) -> None:
    with pytest.raises(RefusedError, match=named) as raised:
        body_as(IntentRequest, body)
    assert raised.value.code is Code.INVALID_INPUT


@pytest.mark.parametrize("query", [{"limit": "1.0"}, {"limit": "9" * 400}, {"text": "1"}, {"limit": ""}])
def test_a_parameter_is_what_it_is_declared_as(query: dict[str, str]) -> None:
    with pytest.raises(RefusedError):
        parameters_of(ListingQuery, {}, MultiDict(query))


def test_a_parameter_that_is_text_stays_text() -> None:
    asked = parameters_of(ListingQuery, {}, MultiDict({"tenant": "12", "limit": "12", "text": "true"}))
    assert (asked.tenant, asked.limit, asked.text) == ("12", 12, True)

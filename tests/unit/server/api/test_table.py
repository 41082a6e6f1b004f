"""The table, and what is told of it: nothing is said twice, and nothing that is not so."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from router_extproc.server.api.document import document_of, operation_id
from router_extproc.server.api.reference import markdown, page
from router_extproc.server.api.route import Access, Route
from router_extproc.server.replies import MEANING, STATUS, Code
from tests.support.api import whole_table

TABLE = whole_table()
DOCUMENT = document_of(TABLE)
CHANGES = {"/api/v1/response-cache/", "/api/v1/decisions", "/config/"}


def test_every_code_has_a_status_and_a_meaning() -> None:
    assert set(STATUS) == set(MEANING) == set(Code)
    assert all(400 <= status < 600 for status in STATUS.values())


def test_what_changes_or_shows_what_others_wrote_needs_the_token() -> None:
    for route in TABLE:
        guarded = any(route.path.startswith(prefix) for prefix in CHANGES)
        assert (route.access is Access.TOKEN) == guarded, route.path


def test_no_two_routes_are_one() -> None:
    assert len({(route.method, route.path) for route in TABLE}) == len(TABLE)
    assert len({operation_id(route) for route in TABLE}) == len(TABLE)


@pytest.mark.parametrize("route", TABLE, ids=operation_id)
def test_a_route_has_one_handler_and_documents_every_status(route: Route) -> None:
    assert (route.handle is None) != (route.stream is None)
    said: Mapping[str, Any] = DOCUMENT["paths"][route.path][route.method.lower()]
    answers = {str(status) for status in route.answers} or {"200"}
    assert set(said["responses"]) == answers | {str(STATUS[code]) for code in route.errors}
    assert ("security" in said) == (route.access is Access.TOKEN)
    assert ("requestBody" in said) == route.has_body


def test_every_reference_of_the_document_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    named = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= DOCUMENT["components"]["schemas"].keys()


def test_the_page_needs_nothing_from_elsewhere() -> None:
    shown = page(TABLE)
    assert "http://" not in shown
    assert "https://" not in shown
    assert "<script" not in shown
    assert all(route.path.replace("{", "&#x7b;") in shown or route.path in shown for route in TABLE)


def test_the_written_reference_is_the_tables() -> None:
    """`python -m tests.support.api_reference` writes it anew."""
    written = (Path(__file__).parents[4] / "docs" / "API.md").read_text(encoding="utf-8")
    assert written.endswith("\n" + markdown(TABLE))

"""The latest decisions over HTTP: who is let in is the table's business, and is tested with it."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request
from aiohttp.web import Response

from router_extproc.server.api.dispatch import served
from router_extproc.server.api.recent import DecisionsReply, recent_routes
from router_extproc.telemetry.decision import DecisionRecord
from router_extproc.telemetry.recent import Recent
from router_extproc.telemetry.record import Decisions, as_json, record_of
from tests.support.play import ANSWER, chat_body, chat_headers, pieces, question, response_headers
from tests.support.stories import Scene

TOKEN = "a-token-for-tests"
PLANTED = "planted-Kq8v"


class Asked:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, str | None]] = []

    def latest(self, limit: int, after: str | None = None) -> Sequence[DecisionRecord]:
        self.calls.append((limit, after))
        return ()


async def called(decisions: Any, query: str = "") -> tuple[int, bytes]:
    [route] = served(recent_routes(decisions), TOKEN)
    headers = {"authorization": f"Bearer {TOKEN}"}
    answer = await route.handler(make_mocked_request("GET", f"/api/v1/decisions{query}", headers=headers))
    assert isinstance(answer, Response)
    assert isinstance(answer.body, bytes)
    return answer.status, answer.body


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", (50, None)),
        ("?limit=7", (7, None)),
        (f"?limit=1000&after={'a1' * 16}", (1000, "a1" * 16)),
    ],
)
async def test_the_query_says_how_many_and_after_which(query: str, asked: tuple[int, str | None]) -> None:
    decisions = Asked()
    status, shown = await called(decisions, query)
    assert (status, json.loads(shown)) == (200, {"decisions": []})
    assert decisions.calls == [asked]


@pytest.mark.parametrize("query", ["?limit=0", "?limit=1001", "?limit=x", "?after=x", "?before=1"])
async def test_what_is_not_understood_is_refused(query: str) -> None:
    decisions = Asked()
    assert (await called(decisions, query))[0] == 400
    assert decisions.calls == []


async def test_a_record_has_what_is_logged_and_nothing_that_was_said() -> None:
    recent = Recent(5)
    scene = Scene(tellers=[Decisions(recent, logs=False).tell])
    body = question(PLANTED, user=PLANTED)
    headers = chat_headers(("authorization", f"Bearer {PLANTED}"), ("x-session-id", PLANTED))
    answer = ANSWER.replace(b"Four", PLANTED.encode())
    assert answer != ANSWER
    told = await scene.told(headers, chat_body(body), response_headers(), *pieces(answer))
    status, shown = await called(recent)
    assert status == 200
    assert PLANTED.encode() not in shown
    [record] = msgspec.json.decode(shown, type=DecisionsReply).decisions
    assert as_json(record) == as_json(record_of(told))

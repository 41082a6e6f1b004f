import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from router_extproc.page.router import ApiError, Latest, refusal
from router_extproc.server.replies import Code, error_reply


def told(code: Code) -> ApiError:
    reply = error_reply(code, "the field is wrong")
    assert isinstance(reply.body, bytes)
    return refusal(reply.status, json.loads(reply.body))


class Scripted:
    """Implements `Api`: answers with what is left of the script."""

    def __init__(self, *answers: dict[str, Any] | ApiError) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def get(self, path: str, token: str = "", **query: str) -> dict[str, Any]:
        self.asked += 1
        await asyncio.sleep(0)
        answer = self.answers.pop(0)
        if isinstance(answer, ApiError):
            raise answer
        return answer

    async def post(self, path: str, document: Mapping[str, object], token: str = "") -> dict[str, Any]:
        return await self.get(path)


def test_a_refusal_says_what_the_api_says_and_what_to_do() -> None:
    error = told(Code.UNAUTHORIZED)
    assert (error.status, error.code, error.message) == (
        401,
        "UNAUTHORIZED",
        "this is not the router's token",
    )
    assert error.wants_token
    assert "admin.token_file" in error.cure
    assert not told(Code.INVALID_INPUT).wants_token
    assert told(Code.INVALID_INPUT).message == "the field is wrong"


@pytest.mark.parametrize("said", [{}, {"error": "no"}, {"error": {}}])
def test_a_refusal_in_another_form_is_told_by_its_status(said: dict[str, Any]) -> None:
    error = refusal(502, said)
    assert (error.code, error.message) == ("", "status 502")


async def test_however_many_look_the_router_is_asked_once() -> None:
    api = Scripted({"n": 1})
    latest = Latest(api, "/x")
    assert await asyncio.gather(*(latest.get() for _ in range(16))) == [{"n": 1}] * 16
    assert api.asked == 1


async def test_a_failure_is_not_kept() -> None:
    latest = Latest(Scripted(ApiError(0, "", "away"), {"n": 2}), "/x")
    with pytest.raises(ApiError, match="away"):
        await latest.get()
    assert await latest.get() == {"n": 2}

"""The OpenAI error body."""

import json

from router_extproc.llm.errors import error_body


def test_every_key_is_present_even_when_nothing_is_known() -> None:
    assert json.loads(error_body("No.")) == {
        "error": {"message": "No.", "type": "invalid_request_error", "param": None, "code": None}
    }


def test_type_param_and_code_are_the_callers() -> None:
    body = error_body('say "no"', type="server_error", param="messages[0]", code="overloaded")
    assert json.loads(body)["error"] == {
        "message": 'say "no"',
        "type": "server_error",
        "param": "messages[0]",
        "code": "overloaded",
    }

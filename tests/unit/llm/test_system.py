import json

import pytest

from router_extproc.llm.chat import parse_chat
from router_extproc.llm.system import SystemPrompt

PROMPT = 'Answer as a "lawyer".\n'


def edited(messages: str, *, replaces: bool) -> str:
    body = ('{"model":"m", "messages":' + messages + " }").encode()
    return parse_chat(body).edited(system=SystemPrompt(PROMPT, replaces)).decode()


def contents(body: str) -> list[object]:
    return [message.get("content") for message in json.loads(body)["messages"]]


@pytest.mark.parametrize("replaces", [True, False])
def test_a_request_without_a_system_message_gets_one_before_all_others(replaces: bool) -> None:
    body = edited('[ {"role":"user","content":"hi"}]', replaces=replaces)
    assert json.loads(body)["messages"][0] == {"role": "system", "content": PROMPT}
    assert body.endswith(' {"role":"user","content":"hi"}] }')


@pytest.mark.parametrize("role", ["system", "developer"])
def test_a_prompt_that_replaces_takes_the_place_of_the_clients(role: str) -> None:
    body = edited(
        '[{"role":"ROLE","content":"be kind","name":"x"},{"role":"user","content":"hi"}]'.replace(
            "ROLE", role
        ),
        replaces=True,
    )
    assert json.loads(body)["messages"][0] == {"role": role, "content": PROMPT, "name": "x"}
    assert contents(body)[1:] == ["hi"]


def test_a_prompt_that_is_inserted_stands_before_the_clients() -> None:
    body = edited('[{"role":"system","content":"be \\u006bind \\ud83d\\ude00"}]', replaces=False)
    assert contents(body) == [PROMPT + "\n\nbe kind \U0001f600"]
    assert "be \\u006bind \\ud83d\\ude00" in body


@pytest.mark.parametrize("parts", ["[]", '[{"type":"text","text":"be kind"}]'])
def test_a_prompt_is_inserted_as_the_first_part_of_a_message_in_parts(parts: str) -> None:
    body = edited('[{"role":"system","content":PARTS}]'.replace("PARTS", parts), replaces=False)
    assert contents(body) == [[{"type": "text", "text": PROMPT}, *json.loads(parts)]]


@pytest.mark.parametrize("content", ["null", '""'])
@pytest.mark.parametrize("replaces", [True, False])
def test_an_empty_system_message_becomes_the_prompt(content: str, replaces: bool) -> None:
    assert contents(
        edited('[{"role":"system","content":CONTENT}]'.replace("CONTENT", content), replaces=replaces)
    ) == [PROMPT]


@pytest.mark.parametrize("replaces", [True, False])
def test_a_system_message_without_content_gets_some(replaces: bool) -> None:
    body = edited(
        '[{"meta":{"role":{}}, "role":"system"}, {"role":"user","content":"hi"}]', replaces=replaces
    )
    assert contents(body) == [PROMPT, "hi"]
    assert json.loads(body)["messages"][0]["meta"] == {"role": {}}


def test_a_system_message_in_the_middle_is_the_one_that_changes() -> None:
    body = edited(
        '[{"role":"user","content":"a"},{"role":"system","content":"b"},{"role":"system","content":"c"}]',
        replaces=True,
    )
    assert contents(body) == ["a", PROMPT, "c"]


def test_of_a_name_given_twice_the_last_is_edited() -> None:
    body = edited('[{"role":"user","role":"system","content":"a","content":"b"}]', replaces=True)
    assert contents(body) == [PROMPT]


def test_the_model_and_the_prompt_change_together() -> None:
    chat = parse_chat(b'{"messages":[{"role":"user","content":"model"}],"model":"auto"}')
    body = chat.edited(model="m", defaults=(("think", None, True),), system=SystemPrompt("p", replaces=True))
    assert json.loads(body) == {
        "think": True,
        "messages": [{"role": "system", "content": "p"}, {"role": "user", "content": "model"}],
        "model": "m",
    }


@pytest.mark.parametrize("own", ["", '"tools":null,', '"tools":[ ],'])
def test_tools_take_the_place_of_none(own: str) -> None:
    body = ('{"model":"m",%s"messages":[{"role":"user","content":"hi"}]}' % own).encode()  # noqa: UP031
    tools = ({"type": "function", "function": {"name": "now"}},)
    assert json.loads(parse_chat(body).edited(tools=tools))["tools"] == list(tools)

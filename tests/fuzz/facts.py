"""What the guards are given of a request: every text that a model may get to read, under any shape."""

import json
from collections.abc import Iterator
from typing import Any

from router_extproc.exchange.facts import facts_of, others_of, question_of
from router_extproc.llm.chat import ChatError, parse_chat
from router_extproc.llm.system import SYSTEM_ROLES
from tests.fuzz import chat

SEEDS = (
    *chat.SEEDS,
    b'{"model":"m","messages":[{"role":"user","name":"n","content":["a",{"text":"b"},{"type":"image_url"}]},'
    b'{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"}}]},'
    b'{"role":"user","content":"b"}],"documents":[{"text":"d"}],"max_tokens":5,"functions":[{}]}',
)


def target(data: bytes) -> None:
    try:
        asked = parse_chat(data)
    except ChatError:
        return
    question, others, facts = question_of(asked), others_of(asked), facts_of(asked)
    assert facts.messages == len(asked.turns)
    assert facts.prompt_tokens >= 0
    given = "\n".join((question, *others))
    for turn in asked.turns:
        if turn.role not in SYSTEM_ROLES:
            for text in _said(json.loads(turn.canonical)):
                assert not text.strip() or text in given


def _said(message: dict[str, Any]) -> Iterator[str]:
    content = message.get("content")
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]

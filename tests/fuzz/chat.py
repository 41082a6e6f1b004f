"""Request bodies: the router reads what Python's `json`, with which vLLM reads, would read, says where
another reader might differ, and edits no more than it was told to."""

import json
from typing import Any

from router_extproc.llm.chat import ChatError, ChatRequest, is_ambiguous, parse_chat
from router_extproc.llm.system import SYSTEM_ROLES, SystemPrompt

SEEDS = (
    b'{"model":"auto","messages":[{"role":"user","content":"hi"}]}',
    b'{"model":"auto","model":"m","stream":true,"stream_options":{"include_usage":true,"x":1},'
    b'"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"a"}]}]}',
    b' {"messages":[{"role":"user","content":"a","content":"b"}],'
    b'"mod\\u0065l":"m","n":1e2,"kw":{"a":-0.0}}\n',
    b'{"model":"m","messages":[{"role":"developer"},{"role":"tool","content":null,"tool_call_id":"1"}],'
    b'"tools":[{"type":"function"}],"tool_choice":"auto","temperature":0.5}',
    b'{"model":"m","x":123456789012345678901234567890,"y":"\\ud83d\\ude00\\\\\\"","messages":[{"role":"u"}]}',
    b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}],"seed":NaN,"z":[[[[[[]]]]]]}',
    b'\xef\xbb\xbf{"model":"m","messages":[{"role":"user","content":"\xff\xfe"}]}',
)
PROMPT = SystemPrompt("Be \u201cbrief\u201d.", replaces=False)
NAMES = ("model", "messages")
DEFAULTS = (("kw", "think", False), ("effort", None, "low"), ("kw", "a", 1))
TOOLS = ({"type": "function", "function": {"name": "f"}},)


def target(data: bytes) -> None:
    try:
        chat = parse_chat(data)
    except ChatError:
        return
    seen: list[bool] = []
    want = json.loads(data, object_pairs_hook=lambda pairs: _noting(pairs, seen))
    _same(chat, want)
    renamed = any(name.casefold() in NAMES and name not in NAMES for name in want)
    assert is_ambiguous(chat) == (renamed or any(seen))
    assert chat.edited() == data
    edited = json.loads(chat.edited(model="other", defaults=DEFAULTS, system=PROMPT, tools=TOOLS))
    assert edited == _edited(want)


def _noting(pairs: list[tuple[str, Any]], seen: list[bool]) -> dict[str, Any]:
    """The object, as `json` makes it by itself; whether a name stands twice in it is put into `seen`."""
    found = dict(pairs)
    seen.append(len(found) < len(pairs))
    return found


def _same(chat: ChatRequest, want: dict[str, Any]) -> None:
    assert chat.model == want["model"]
    assert chat.stream == (want.get("stream") is True)
    assert len(chat.turns) == len(want["messages"])
    for turn, message in zip(chat.turns, want["messages"], strict=True):
        assert turn.role == message["role"]
        assert json.loads(turn.canonical) == message
        if isinstance(message.get("content"), str):
            assert turn.text == message["content"]
    for name, raw in chat.params.items():
        if name != "stream_options":
            assert json.loads(raw) == want[name]


def _edited(want: dict[str, Any]) -> dict[str, Any]:
    """What the edits mean, on values instead of bytes."""
    out = {"effort": "low", "kw": {}} | want | {"model": "other", "tools": list(TOOLS)}
    if isinstance(out["kw"], dict):
        out["kw"] = {"think": False, "a": 1} | out["kw"]
    messages = [dict(message) for message in want["messages"]]
    ours = next((message for message in messages if message["role"] in SYSTEM_ROLES), None)
    if ours is None:
        messages.insert(0, {"role": "system", "content": PROMPT.text})
    else:
        content = ours.get("content")
        if isinstance(content, list):
            ours["content"] = [{"type": "text", "text": PROMPT.text}, *content]
        elif isinstance(content, str) and content:
            ours["content"] = f"{PROMPT.text}\n\n{content}"
        else:
            ours["content"] = PROMPT.text
    return out | {"messages": messages}

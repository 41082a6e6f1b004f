"""What a chat request says by itself, as the routing core reads it."""

from collections import Counter
from collections.abc import Iterable
from math import ceil
from typing import Any

import msgspec

from router_extproc.llm.chat import ChatRequest, Turn
from router_extproc.routing.facts import IMAGE_TOKENS, MESSAGE_TOKENS, Facts, estimated_tokens

_SYSTEM = ("system", "developer")
_TOOL = ("tool", "function")
_IMAGES = ("image_url", "image", "input_image", "image_embeds", "image_pil", "video_url", "input_video")
"""Content parts that only a model with eyes can read, as OpenAI's and vLLM's APIs call them."""

_LABELS = frozenset(("role", "tool_call_id", "type", "id", "uuid"))
"""Members that hold no text of anybody's: kinds and references. Nothing stops a client from writing one
there, and some templates write these out: what is too long for a label, or more than one word, is read."""

_LONGEST_LABEL = 64

_UNREAD = frozenset((*_IMAGES, "input_audio", "audio_url", "audio", "file_data"))
"""Members below a message that only eyes and ears can read."""

_DECODER = msgspec.json.Decoder()


def question_of(chat: ChatRequest) -> str:
    """What the user said last: the text of the last user turn that has any, text beside images included; ""
    where no turn has."""
    turn = _question_turn(chat)
    return "" if turn is None else _said(turn)


def others_of(chat: ChatRequest) -> tuple[str, ...]:
    """What the guards look at beside the question, the latest first, each text once.

    Of every message but the application's own (`system`, `developer`): all that a model may get to read, so
    names and tool calls too, as one text. A role that nobody knows is somebody's all the same, and what an
    assistant said is what the client says that it said. Then the documents that vLLM puts into a prompt. Of
    the question's own message what the question leaves out.
    """
    question = _question_turn(chat)
    found = [
        _read(turn, question_apart=turn is question)
        for turn in reversed(chat.turns)
        if turn.role not in _SYSTEM
    ]
    found.append("\n".join(_strings(_DECODER.decode(chat.params.get("documents", b"null")))))
    return tuple(dict.fromkeys(text for text in found if text.strip()))


def _question_turn(chat: ChatRequest) -> Turn | None:
    return next((turn for turn in reversed(chat.turns) if turn.role == "user" and _said(turn)), None)


def _read(turn: Turn, *, question_apart: bool) -> str:
    if not turn.plain:
        return "\n".join(_readable(_DECODER.decode(turn.canonical), question_apart=question_apart))
    text = "" if question_apart or turn.text is None else turn.text
    return text if _is_label(turn.role) else f"{text}\n{turn.role}"


def _readable(message: dict[str, Any], *, question_apart: bool) -> Iterable[str]:
    """The texts of a message, then what else of it a template may write out."""
    texts = list(_texts(message))
    if not question_apart:
        yield from texts
    if not texts:
        yield from _strings(message)
        return
    left = Counter(texts)
    for text in _strings(message):
        if left[text] > 0:
            left[text] -= 1
        else:
            yield text


def _strings(value: Any) -> Iterable[str]:
    """Every string in a JSON value, in order, however deep, but labels. A name that is none is a string
    too."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            waiting.extend(reversed(value))
        elif isinstance(value, dict):
            for name in reversed(value):
                inner = value[name]
                if name not in _UNREAD and not (name in _LABELS and _is_label(inner)):
                    waiting.append(inner)
                if not _is_label(name):
                    waiting.append(name)


def _is_label(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_LABEL and len(value.split(None, 1)) < 2


def facts_of(chat: ChatRequest) -> Facts:
    """Total: what cannot be read counts as not there. Linear in the request's size."""
    messages = [_DECODER.decode(turn.canonical) for turn in chat.turns if not turn.plain]
    roles = [turn.role for turn in chat.turns]
    params = chat.params
    images = sum(_is_image(part) for message in messages for part in _parts(message))
    tools = _count(params.get("tools")) + _count(params.get("functions"))
    return Facts(
        text=question_of(chat),
        prompt_tokens=_prompt_tokens(chat, messages, images),
        completion_tokens=_wanted(params.get("max_completion_tokens")) or _wanted(params.get("max_tokens")),
        messages=len(roles),
        user_turns=roles.count("user"),
        assistant_turns=roles.count("assistant"),
        system_messages=sum(role in _SYSTEM for role in roles),
        tool_messages=sum(role in _TOOL for role in roles),
        tool_calls=sum(_calls(message) for message in messages),
        tools=tools,
        images=images,
        open_to_tools=not tools and params.get("tool_choice") == b'"auto"',
        later=any(role not in _SYSTEM for role in roles[:-1]),
    )


def _said(turn: Turn) -> str:
    if turn.text is not None or turn.plain:
        return turn.text or ""
    return "\n".join(_texts(_DECODER.decode(turn.canonical)))


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _texts(message: dict[str, Any]) -> Iterable[str]:
    content = message.get("content")
    if isinstance(content, str):
        yield content
    for part in _parts(message):
        if isinstance(text := part.get("text"), str):
            yield text


def _is_image(part: dict[str, Any]) -> bool:
    return part.get("type") in _IMAGES


def _calls(message: dict[str, Any]) -> int:
    """Tool calls of an answer, the older single `function_call` included."""
    calls = message.get("tool_calls")
    return (len(calls) if isinstance(calls, list) else 0) + (message.get("function_call") is not None)


def _prompt_tokens(chat: ChatRequest, messages: list[dict[str, Any]], images: int) -> int:
    """`messages` are those that are not plain. Texts, calls made and tools offered (as JSON), with what
    surrounds each message and each image."""
    tokens = float(MESSAGE_TOKENS * len(chat.turns) + IMAGE_TOKENS * images)
    tokens += sum(estimated_tokens(turn.text) for turn in chat.turns if turn.plain and turn.text)
    for message in messages:
        tokens += sum(estimated_tokens(text) for text in _texts(message))
        for name in ("tool_calls", "function_call"):
            if message.get(name):
                tokens += estimated_tokens(msgspec.json.encode(message[name]))
    for name in ("tools", "functions"):
        tokens += estimated_tokens(chat.params.get(name, b""))
    return ceil(tokens)


def _count(raw: bytes | None) -> int:
    value = None if raw is None else _DECODER.decode(raw)
    return len(value) if isinstance(value, list) else 0


def _wanted(raw: bytes | None) -> int | None:
    value = None if raw is None else _DECODER.decode(raw)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None

"""A chat completion request as a value, and byte-exact edits of it.

Owns what the router reads of a request body (model, stream flags, messages, the other parameters) and
how few bytes change when it goes upstream. Knows nothing of routes, models, caches or HTTP.

JSON is RFC 8259, strictly: NaN, a byte order mark, invalid UTF-8 and lone surrogate escapes are refused.
White space around the object is fine. Where a name occurs twice in an object the last value counts, as in
Python's `json`, which vLLM parses with. Only that last occurrence is edited: a server that lets the
first one count would see another request than the router did. Who has to be sure asks `is_ambiguous`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from router_extproc.base.refusals import Rejection
from router_extproc.llm.skeleton import has_more_values, members
from router_extproc.llm.splice import Edit, apply, inserted, span
from router_extproc.llm.system import SystemPrompt, system_edit

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUE = msgspec.json.Decoder()
_CANONICAL = msgspec.json.Encoder(order="sorted")
_NULL = b"null"

MAX_VALUES = 131_072
"""Default bound on a body's values. Text costs a few nanoseconds a byte, values hundreds each: the bytes
alone would let one body keep everybody waiting for many seconds. 10,000 messages of one text have 30,000."""

_READ = ("model", "messages")
"""Fields that decide who answers what."""

Default = tuple[str, str | None, object]
"""`(field, key, value)`: what to send where the client set nothing; see `ChatRequest.edited`."""


class ChatError(Exception):
    """A body that is not a chat request.

    The message names the field and repeats nothing that the client wrote; `param` is the field's path,
    for example `messages[2].role`, or None when the body as a whole is at fault.
    """

    def __init__(self, reason: Rejection, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.param = param


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the conversation.

    `text` is its content when that is a string, or a list of text parts only (joined by LF, as vLLM's
    chat templates do); None for images, missing content and anything else. `canonical` is the whole
    message as JSON with sorted keys and no white space: equal messages have equal bytes. `plain`: there is
    nothing in it but the role and, if anything, one text.
    """

    role: str
    text: str | None = field(repr=False)
    canonical: bytes = field(repr=False)
    plain: bool = field(default=False, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A valid request. `raw` is the body as received; `frame` is the last message as canonical JSON without
    its text: the name of the speaker, for example, or a hint beside a text part.

    `params` has every top-level field except `model`, `messages`, `stream` and `stream_options`, in
    sorted order, each as canonical JSON; what `stream_options` holds beside a boolean `include_usage`
    is a parameter under that name.
    """

    raw: bytes = field(repr=False)
    model: str
    stream: bool
    include_usage: bool
    turns: tuple[Turn, ...] = field(repr=False)
    frame: bytes = field(repr=False)
    params: Mapping[str, bytes] = field(repr=False)
    _members: Mapping[str, msgspec.Raw] = field(repr=False, compare=False)
    _keys: Mapping[str, frozenset[str]] = field(repr=False, compare=False)
    """The keys of each top-level value that is an object."""

    def edited(
        self,
        model: str | None = None,
        defaults: Sequence[Default] = (),
        system: SystemPrompt | None = None,
        tools: Sequence[object] = (),
    ) -> bytes:
        """The body with another model, with `defaults` where the client set nothing, with `system` in or
        before its system message, and with `tools`, unless they are empty, in place of the client's.

        A default `(field, None, value)` adds a top-level field, `(field, key, value)` a key to the object
        `field`, which is made if absent. What the client sent stays, null included, and so does a field
        that is not an object. Of equal defaults the first counts. Every other byte is as received.
        """
        edits: list[Edit] = []
        if model is not None:
            edits.append(Edit(*span(self.raw, self._members["model"]), msgspec.json.encode(model)))
        if system is not None:
            edits.append(system_edit(self.raw, self._members["messages"], system))
        added: dict[str, Any] = {}
        if tools and "tools" in self._members:
            edits.append(Edit(*span(self.raw, self._members["tools"]), msgspec.json.encode(tools)))
        elif tools:
            added["tools"] = tools
        for name, extra in self._missing(defaults, added).items():
            start, _ = span(self.raw, self._members[name])
            edits.append(Edit(start + 1, start + 1, inserted(extra, last=not self._keys[name])))
        if added:
            start = self.raw.index(b"{") + 1
            edits.append(Edit(start, start, inserted(added, last=False)))
        return apply(self.raw, edits)

    def _missing(self, defaults: Sequence[Default], added: dict[str, Any]) -> dict[str, dict[str, object]]:
        """Keys to insert into objects the client sent, by field; fields it did not send go to `added`."""
        inner: dict[str, dict[str, object]] = {}
        for name, key, value in defaults:
            if name in self._members:
                if key is not None and name in self._keys and key not in self._keys[name]:
                    inner.setdefault(name, {}).setdefault(key, value)
            elif key is None:
                added.setdefault(name, value)
            else:
                whole = added.get(name, {})
                if isinstance(whole, dict):
                    added[name] = {key: value} | whole
        return inner


def parse_chat(body: bytes, max_values: int = MAX_VALUES) -> ChatRequest:
    """Read a request body of at most `max_values` values, as `has_more_values` counts.

    Raises ChatError with INVALID_JSON (not one JSON object in UTF-8, nested too deeply, a number out of
    range), BODY_TOO_LARGE (more values) or INVALID_REQUEST (`model`, `messages` or `stream` missing or of the
    wrong type).
    """
    if has_more_values(body, max_values):
        message = f"The request body has too many values; at most {max_values} are allowed."
        raise ChatError(Rejection.BODY_TOO_LARGE, message)
    fields = _members(body)
    model = _decoded(fields.get("model", _NULL), "model")
    if not isinstance(model, str) or not model:
        raise _invalid("'model' must be a non-empty string.", "model")
    stream = _decoded(fields.get("stream", _NULL), "stream")
    if stream is not None and not isinstance(stream, bool):
        raise _invalid("'stream' must be a boolean.", "stream")
    options = _decoded(fields.get("stream_options", _NULL), "stream_options")
    messages = _decoded(fields.get("messages", _NULL), "messages")
    turns = _turns(messages)
    frame = _canonical(_framed(messages[-1]))

    keys: dict[str, frozenset[str]] = {}
    params: dict[str, bytes] = {}
    for name in sorted(fields):
        if name in ("model", "messages", "stream"):
            continue
        value = options if name == "stream_options" else _decoded(fields[name], None)
        if isinstance(value, dict):
            keys[name] = frozenset(value)
        if name == "stream_options":
            value = _beyond_usage(value)
            if value is None:
                continue
        params[name] = _canonical(value)
    include_usage = isinstance(options, dict) and options.get("include_usage") is True
    return ChatRequest(body, model, stream is True, include_usage, turns, frame, params, fields, keys)


def is_ambiguous(chat: ChatRequest) -> bool:
    """Whether servers may disagree on what `chat` says: a name stands twice in one of its objects, of which
    some take the first, or a field is called like one that decides but for upper and lower case, of which
    some make no difference."""
    names = chat._members
    if any(name.casefold() in _READ and name not in _READ for name in names):
        return True
    options = _canonical(_decoded(names.get("stream_options", _NULL), None))
    params = (raw for name, raw in chat.params.items() if name != "stream_options")
    read = b",".join((options, *params, *(turn.canonical for turn in chat.turns)))
    return members(chat.raw) != len(names) + members(read)


def _members(body: bytes) -> dict[str, msgspec.Raw]:
    """The top-level values, unread. Spans that no later step decodes (the earlier of two equal names) are
    checked for UTF-8 here: the decoder skips over them."""
    try:
        str(body, "utf-8")
        return _MEMBERS.decode(body)
    except UnicodeDecodeError:
        message = "The request body is not valid UTF-8."
    except msgspec.ValidationError:
        message = "The request body must be a JSON object."
    except msgspec.DecodeError:
        message = "The request body is not valid JSON."
    except RecursionError:
        message = "The request body is nested too deeply."
    # Raised outside of the handlers: the decoders' errors quote the body, and must not become a context.
    raise ChatError(Rejection.INVALID_JSON, message)


def _decoded(raw: msgspec.Raw | bytes, param: str | None) -> Any:
    try:
        return _VALUE.decode(raw)
    except msgspec.ValidationError:
        message = "The request body has a number that is out of range."
    except msgspec.DecodeError:
        message = "The request body is not valid JSON."
    except RecursionError:
        message = "The request body is nested too deeply."
    raise ChatError(Rejection.INVALID_JSON, message, param)


def _canonical(value: object) -> bytes:
    try:
        return _CANONICAL.encode(value)
    except RecursionError:
        message = "The request body is nested too deeply."
    raise ChatError(Rejection.INVALID_JSON, message)


def _turns(messages: object) -> tuple[Turn, ...]:
    if not isinstance(messages, list) or not messages:
        raise _invalid("'messages' must be a non-empty array.", "messages")
    return tuple(_turn(index, message) for index, message in enumerate(messages))


def _turn(index: int, message: object) -> Turn:
    if not isinstance(message, dict):
        raise _invalid(f"'messages[{index}]' must be an object.", f"messages[{index}]")
    role = message.get("role")
    if not isinstance(role, str):
        raise _invalid(f"'messages[{index}].role' must be a string.", f"messages[{index}].role")
    text = _text(message.get("content"))
    plain = len(message) == 1 or (len(message) == 2 and isinstance(message.get("content"), str))
    return Turn(role, text, _canonical(message), plain)


def _framed(message: dict[str, Any]) -> dict[str, Any]:
    """The message without the text of its content; what stands beside the text of a part is kept."""
    rest = message.copy()
    content = rest.pop("content", None)
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        beside = [{key: part[key] for key in part if key not in ("type", "text")} for part in content]
        if any(beside):
            rest["content"] = beside
    return rest


def _text(content: object) -> str | None:
    """The plain text of a message's content. Unknown keys beside a part's text (cache hints, for example)
    do not make it less of a text; they stay in the canonical form."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        return None
    texts: list[str] = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
        if not isinstance(text, str):
            return None
        texts.append(text)
    return "\n".join(texts)


def _beyond_usage(options: object) -> object:
    """What of `stream_options` may change an answer: all but null and a boolean `include_usage`."""
    if not isinstance(options, dict):
        return options
    rest = {
        key: value
        for key, value in options.items()
        if key != "include_usage" or not (value is None or isinstance(value, bool))
    }
    return rest or None


def _invalid(message: str, param: str) -> ChatError:
    return ChatError(Rejection.INVALID_REQUEST, message, param)

"""An operator's system prompt in a request that has one of its own, or none.

Owns where the prompt goes and which bytes change for it. Knows nothing of who wants it there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from router_extproc.llm.splice import Edit, span

SYSTEM_ROLES = ("system", "developer")
"""OpenAI's newer name for the same message is `developer`."""

_MESSAGES = msgspec.json.Decoder(list[msgspec.Raw])
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUE = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class SystemPrompt:
    """`replaces`: instead of what the request's system message says, else before it."""

    text: str = field(repr=False)
    replaces: bool


def system_edit(body: bytes, messages: msgspec.Raw, prompt: SystemPrompt) -> Edit:
    """The one edit of `body` that brings `prompt` to its first system message, or adds one before all others.

    `messages` is the span of a valid, non-empty array of objects. Later system messages stay as they are.
    """
    for message in _MESSAGES.decode(messages):
        members = _MEMBERS.decode(message)
        if _VALUE.decode(members["role"]) in SYSTEM_ROLES:
            return _into(body, message, members, prompt)
    start, _ = span(body, messages)
    added = msgspec.json.encode({"role": "system", "content": prompt.text})
    return Edit(start + 1, start + 1, added + b",")


def _into(
    body: bytes, message: msgspec.Raw, members: Mapping[str, msgspec.Raw], prompt: SystemPrompt
) -> Edit:
    if "content" not in members:
        start, _ = span(body, message)
        return Edit(start + 1, start + 1, b'"content":' + msgspec.json.encode(prompt.text) + b",")
    start, stop = span(body, members["content"])
    content = _VALUE.decode(members["content"])
    if not prompt.replaces and isinstance(content, list):
        part = msgspec.json.encode({"type": "text", "text": prompt.text})
        return Edit(start + 1, start + 1, part + (b"," if content else b""))
    if not prompt.replaces and isinstance(content, str) and content:
        # The client's own characters stay as they were spelt: only what comes before them is new.
        return Edit(start + 1, start + 1, msgspec.json.encode(prompt.text + "\n\n")[1:-1])
    return Edit(start, stop, msgspec.json.encode(prompt.text))

"""What a request says by itself, before any model has looked at it. Knows no request format."""

from dataclasses import dataclass, field

import numpy as np

MESSAGE_TOKENS = 4
"""What a chat template puts around one message, about."""

IMAGE_TOKENS = 1000
"""What one image costs a model that reads images, about: between 85 and 1,600 for those in use."""

LEAST_COMPLETION = 256
"""Tokens left for the answer when a request does not say how many it wants."""

_CHUNK = 1 << 20


def _token_weights() -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Tokens per character by the first byte of its UTF-8 form; a character's other bytes count nothing."""
    weights = np.zeros(256)
    weights[0x00:0x80] = 0.25
    weights[0xC2:0xCA] = 0.25  # U+0080 to U+027F: Latin with its accents
    weights[0xCA:0xE0] = 0.5  # to U+07FF: Greek, Cyrillic, Hebrew, Arabic
    weights[0xE0:0xF5] = 1.0  # the scripts of Asia, symbols, emoji
    return weights


_WEIGHTS = _token_weights()


@dataclass(frozen=True, slots=True)
class Facts:
    """`text` is what the user said last, "" where that has no text.

    `prompt_tokens` is an estimate for all that is sent, `completion_tokens` what the client allows for the
    answer, None where it does not say. `tools` are those that the request offers, `tool_calls` those that
    earlier answers made. `open_to_tools`: the client leaves the use of tools to the model (`tool_choice:
    auto`) and offers none. `later`: a conversation is under way.
    """

    text: str = field(default="", repr=False)
    prompt_tokens: int = 0
    completion_tokens: int | None = None
    messages: int = 1
    user_turns: int = 1
    assistant_turns: int = 0
    system_messages: int = 0
    tool_messages: int = 0
    tool_calls: int = 0
    tools: int = 0
    images: int = 0
    open_to_tools: bool = False
    later: bool = False

    @property
    def needed_window(self) -> int:
        """Tokens of the prompt and of the answer together."""
        wanted = LEAST_COMPLETION if self.completion_tokens is None else self.completion_tokens
        return self.prompt_tokens + wanted

    @property
    def needs_vision(self) -> bool:
        return self.images > 0

    @property
    def needs_tools(self) -> bool:
        """Tools are offered, or were used: the model's template must know how to write them down."""
        return self.tools > 0 or self.tool_calls > 0 or self.tool_messages > 0


def estimated_tokens(text: str | bytes) -> float:
    """Tokens of `text` (bytes: in UTF-8), about: a quarter for a Latin character, half for a Greek, Cyrillic,
    Hebrew or Arabic one, one for any other, such as Chinese, Japanese and Korean."""
    data = text.encode() if isinstance(text, str) else text
    if data.isascii():
        return len(data) / 4
    total = 0.0
    for start in range(0, len(data), _CHUNK):
        piece = np.frombuffer(data, np.uint8, min(_CHUNK, len(data) - start), start)
        total += float(np.bincount(piece, minlength=256) @ _WEIGHTS)
    return total

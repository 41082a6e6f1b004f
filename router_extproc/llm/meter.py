"""How many tokens an answer had and whether it is whole, read from its bytes as they pass. For statistics.

Looks at nothing but what servers write at the end, and counts the events of a stream that has no count. Holds
a few kilobytes whatever the size of the answer, and never fails: bytes it cannot read count as nothing.
"""

import re
from math import inf

from router_extproc.base.completion import Usage

_TAIL = 4096
"""Bytes kept. The usage stands at the end of a JSON answer and in one of the last events of a stream."""

_COMPLETION = re.compile(rb'"completion_tokens"\s*:\s*(\d{1,9})(?!\d)')
"""In a text of the model the quotes are escaped, so this is the member of that name and nothing quoted."""
_PROMPT = re.compile(rb'"prompt_tokens"\s*:\s*(\d{1,9})(?!\d)')

_ENDED = re.compile(rb'"finish_reason"\s*:\s*"|data:\s*\[DONE\]')
"""The member of the last chunk, and the last event."""

_EVENT = b"data:"
_FRAME_EVENTS = 2
"""Events of a stream that carry no token: the one with the finish reason, and `[DONE]`."""


class Meter:
    """Feed it every piece of the body, wherever the pieces end."""

    __slots__ = ("_events", "_readable", "_tail", "event_stream", "first_at", "pieces", "told_at")

    def __init__(self, *, event_stream: bool, readable: bool = True) -> None:
        """`readable`: the body is JSON or a stream of it, and not compressed."""
        self.event_stream = event_stream
        self._readable = readable
        self._events = 0
        self._tail = b""
        self.pieces = 0
        """Pieces that were not empty."""
        self.first_at: float | None = None
        """When the first piece of a stream came; set by whoever feeds."""
        self.told_at = -inf
        """When it was last told that the answer flows; for whoever feeds."""

    def feed(self, piece: bytes) -> None:
        if not piece:
            return
        self.pieces += 1
        if self.event_stream:
            overlap = self._tail[1 - len(_EVENT) :] if self._tail else b""
            self._events += (overlap + piece).count(_EVENT)
        self._tail = (self._tail + piece[-_TAIL:])[-_TAIL:]

    @property
    def completion_tokens(self) -> int | None:
        """What the server counted; without that the events of a stream; else None."""
        counted = _last(_COMPLETION, self._tail)
        if counted is not None or not self.event_stream:
            return counted
        return max(0, self._events - _FRAME_EVENTS)

    @property
    def complete(self) -> bool:
        """Whether what there is ends as an answer does: a stream with a finish reason or `[DONE]`, another
        one with a closing brace. What cannot be read is taken for complete."""
        if not self._readable:
            return True
        if self.event_stream:
            return _ENDED.search(self._tail) is not None
        return self._tail.rstrip().endswith(b"}")

    @property
    def prompt_tokens(self) -> int | None:
        """What the server counted, else None."""
        return _last(_PROMPT, self._tail)

    @property
    def usage(self) -> Usage | None:
        """What the server counted, else None."""
        asked, answered = self.prompt_tokens, _last(_COMPLETION, self._tail)
        return None if asked is None or answered is None else Usage(asked, answered)

    def per_token(self, at: float, seconds: float) -> float | None:
        """Seconds per token of an answer that ended `at`: of a stream after its first piece, of another
        answer its whole `seconds` shared. None where that cannot be said."""
        tokens = self.completion_tokens
        if not self.event_stream:
            return seconds / tokens if tokens else None
        if self.first_at is None or tokens is None or tokens < 2:
            return None
        return (at - self.first_at) / (tokens - 1)


def _last(pattern: re.Pattern[bytes], text: bytes) -> int | None:
    found = pattern.findall(text)
    return int(found[-1]) if found else None

"""Reads an upstream's answer as it passes, so that it may be stored. Holds at most `max_bytes` of it."""

from router_extproc.base.completion import Folded, Unfoldable
from router_extproc.base.refusals import Uncached
from router_extproc.llm.fold import StreamFold, fold_json


class Recorder:
    """Feed it every piece of the body, wherever the pieces end; ask for the result once, at the end.

    A body over `max_bytes` is refused and what was held of it is let go.
    """

    __slots__ = ("_held", "_max_bytes", "_room", "_stream")

    def __init__(self, *, event_stream: bool, max_bytes: int) -> None:
        self._stream = StreamFold(max_bytes, max_bytes) if event_stream else None
        self._held = bytearray()
        self._max_bytes = max_bytes
        self._room = max_bytes

    def feed(self, piece: bytes) -> None:
        if self._room < 0:
            return
        self._room -= len(piece)
        if self._room < 0:
            self._held.clear()
            self._stream = None
        elif self._stream is not None:
            self._stream.feed(piece)
        else:
            self._held += piece

    @property
    def held(self) -> int:
        """Bytes of the answer held now, at most `max_bytes`."""
        return self._stream.held if self._stream is not None else len(self._held)

    def finish(self) -> Folded:
        if self._room < 0:
            return Unfoldable(Uncached.TOO_LARGE)
        if self._stream is not None:
            return self._stream.finish()
        return fold_json(bytes(self._held), self._max_bytes)

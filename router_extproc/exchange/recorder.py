"""Reads an upstream's answer as it passes, so that it may be stored."""

from router_extproc.base.completion import Folded, Unfoldable
from router_extproc.base.refusals import Uncached
from router_extproc.llm.fold import StreamFold, fold_json


class Recorder:
    """Feed it every piece of the body, wherever the pieces end; ask for the result once, at the end.

    A JSON body is held whole, up to `max_bytes`. Of an event stream the text is held, up to `max_bytes`, and
    as much of an unfinished event; the frames around the text, ten times its size, are not. Beyond that the
    answer is refused and what was held of it is let go.
    """

    __slots__ = ("_held", "_max_bytes", "_stream", "_too_large")

    def __init__(self, *, event_stream: bool, max_bytes: int) -> None:
        self._stream = StreamFold(max_bytes, max_bytes) if event_stream else None
        self._held = bytearray()
        self._max_bytes = max_bytes
        self._too_large = False

    def feed(self, piece: bytes) -> None:
        if self._stream is not None:
            self._stream.feed(piece)
            return
        self._too_large = self._too_large or len(self._held) + len(piece) > self._max_bytes
        if self._too_large:
            self._held.clear()
        else:
            self._held += piece

    @property
    def held(self) -> int:
        """Bytes of the answer held now."""
        return self._stream.held if self._stream is not None else len(self._held)

    def finish(self) -> Folded:
        if self._stream is not None:
            return self._stream.finish()
        if self._too_large:
            return Unfoldable(Uncached.TOO_LARGE)
        return fold_json(bytes(self._held), self._max_bytes)

"""An incremental parser of event streams (WHATWG HTML, section 9.2.6, "Interpreting an event stream").

Knows bytes, lines and events; nothing of chat completions. It never decodes text: field names are
ASCII and a UTF-8 sequence holds no byte of a line end, so a chunk may end anywhere, also inside one.
"""

MAX_EVENT_BYTES = 1 << 20
"""Default bound on one event. A chunk of a chat stream is a few hundred bytes; 1 MiB also admits a
server that sends a whole answer as one event."""

_BOM = b"\xef\xbb\xbf"
_LINE_ENDS = (b"\n", b"\r")


class EventStreamParser:
    """Feed it pieces of a stream; it returns the data of every event as soon as the event is complete.

    Each byte is searched once, when it arrives, and copied a fixed number of times: the cost is linear in
    the bytes however they are split. At most `max_event_bytes` are held back. A longer event or line sets
    `overflowed`: the parser then drops what it holds and ignores the rest of the stream, because no later
    event could be trusted to be whole.
    """

    __slots__ = ("_after_cr", "_data", "_first_line", "_line", "_max", "_overflowed")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        """`max_event_bytes` (at least 1) bounds the data of one event plus its current line."""
        self._max = max_event_bytes
        self._line = bytearray()
        self._data = bytearray()
        self._first_line = True
        self._after_cr = False
        self._overflowed = False

    @property
    def overflowed(self) -> bool:
        """True once an event or a line was longer than the bound."""
        return self._overflowed

    @property
    def held(self) -> int:
        """Bytes kept for an event that is not complete yet; never above the bound."""
        return len(self._line) + len(self._data)

    def feed(self, data: bytes) -> list[bytes]:
        """The data of each event that `data` completes, in order.

        The lines of an event are joined by LF. An event whose only data field is empty counts (`b""`),
        one without a data field does not. An event that the stream ends within is never returned.
        """
        if self._overflowed or not data:
            return []
        if self._after_cr and data[:1] == b"\n":
            data = data[1:]
        # A CR ends its line at once; an LF that begins the next chunk is the second half of a CRLF.
        self._after_cr = data[-1:] == b"\r"
        events: list[bytes] = []
        # bytes.splitlines ends lines at LF, CR and CRLF and nowhere else, unlike str.splitlines.
        for piece in data.splitlines(keepends=True):
            ended = piece.endswith(_LINE_ENDS)
            line = piece.rstrip(b"\r\n") if ended else piece
            if self.held + len(line) > self._max:
                self._overflow()
                break
            if not ended:
                self._line += line
                break
            if self._take(self._complete(line)):
                events.append(self._dispatch())
        return events

    def _complete(self, line: bytes) -> bytes:
        """The whole line of which `line` is the end."""
        if self._line:
            self._line += line
            line = bytes(self._line)
            self._line.clear()
        if self._first_line:
            self._first_line = False
            return line.removeprefix(_BOM)
        return line

    def _take(self, line: bytes) -> bool:
        """Interpret a line; true when it ends an event that has data."""
        if not line:
            return bool(self._data)
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data += value.removeprefix(b" ")
            self._data += b"\n"
        return False

    def _dispatch(self) -> bytes:
        event = bytes(memoryview(self._data)[:-1])
        self._data.clear()
        return event

    def _overflow(self) -> None:
        self._overflowed = True
        self._line.clear()
        self._data.clear()

"""The event stream parser: the split does not matter, and the result is what the standard says."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from router_extproc.llm.sse import EventStreamParser

ENDS = ("\n", "\r", "\r\n")
LINES = st.one_of(
    st.sampled_from(
        ["", "data", "data:", "data: ", "data:  x", ":", ": note", "event: x", "id: 1", "dat", " data: x"]
    ),
    st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12).map(
        "data: ".__add__
    ),
    st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12),
)
STREAMS = st.builds(
    lambda bom, lines, rest: (("\ufeff" if bom else "") + "".join(a + b for a, b in lines) + rest).encode(),
    st.booleans(),
    st.lists(st.tuples(LINES, st.sampled_from(ENDS)), max_size=30),
    LINES,
)
NOISE = st.lists(st.sampled_from([b"\r", b"\n", b"data", b":", b" ", b"\xef\xbb\xbf", b"\xc3", b"x"])).map(
    b"".join
)
BYTES = st.one_of(STREAMS, NOISE)


@st.composite
def pieces_of(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """`data` cut anywhere, with empty pieces among the others."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def parse(parser: EventStreamParser, pieces: list[bytes]) -> list[bytes]:
    return [event for piece in pieces for event in parser.feed(piece)]


def standard(data: bytes) -> list[bytes]:
    """The events of a whole stream, step by step as in WHATWG HTML 9.2.6, on all of it at once."""
    lines = re.split(rb"\r\n|\n|\r", data.removeprefix(b"\xef\xbb\xbf"))[:-1]
    events: list[bytes] = []
    buffer = b""
    for line in lines:
        if line == b"":
            if buffer != b"":
                events.append(buffer[:-1])
            buffer = b""
            continue
        colon = line.find(b":")
        field, value = (line, b"") if colon < 0 else (line[:colon], line[colon + 1 :])
        if value[:1] == b" ":
            value = value[1:]
        if field == b"data":
            buffer += value + b"\n"
    return events


@settings(deadline=None)
@given(BYTES)
def test_events_are_those_of_the_standard(data: bytes) -> None:
    assert EventStreamParser().feed(data) == standard(data)


@settings(deadline=None)
@given(st.data(), BYTES)
def test_no_split_changes_the_events(data: st.DataObject, stream: bytes) -> None:
    pieces = data.draw(pieces_of(stream))
    assert parse(EventStreamParser(), pieces) == standard(stream)


@settings(deadline=None)
@given(BYTES)
def test_single_bytes_give_the_same_events(stream: bytes) -> None:
    assert parse(EventStreamParser(), [bytes([byte]) for byte in stream]) == standard(stream)


@settings(deadline=None)
@given(st.data(), BYTES, st.integers(1, 40))
def test_no_split_changes_where_a_stream_overflows(data: st.DataObject, stream: bytes, limit: int) -> None:
    whole, split = EventStreamParser(limit), EventStreamParser(limit)
    pieces = data.draw(pieces_of(stream))
    assert parse(split, pieces) == whole.feed(stream)
    assert split.overflowed == whole.overflowed
    assert split.held == whole.held


@settings(deadline=None)
@given(st.data(), BYTES, st.integers(1, 40))
def test_never_more_than_the_bound_is_held(data: st.DataObject, stream: bytes, limit: int) -> None:
    parser = EventStreamParser(limit)
    for piece in data.draw(pieces_of(stream)):
        parser.feed(piece)
        assert parser.held <= limit
        assert not (parser.overflowed and parser.held)


@settings(deadline=None)
@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))),
    st.sampled_from(ENDS),
)
def test_written_events_are_read_back(texts: list[str], end: str) -> None:
    stream = "".join(f"data: {text}{end}{end}" for text in texts).encode()
    assert EventStreamParser().feed(stream) == [text.encode() for text in texts]

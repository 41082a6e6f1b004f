"""The event stream parser by example, its bound, and what it does with the bytes it holds."""

from typing import SupportsIndex

import pytest

from router_extproc.llm.sse import EventStreamParser


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"", []),
        (b"data: a\n\n", [b"a"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a \n\n", [b" a "]),
        (b"data:\ta\n\n", [b"\ta"]),
        (b"data: a\r\n\r\n", [b"a"]),
        (b"data: a\r\r", [b"a"]),
        (b"data: a\n\r\n", [b"a"]),
        (b"data: a\n\r", [b"a"]),
        (b"data: a\r\ndata: b\rdata: c\n\n", [b"a\nb\nc"]),
        (b"data: a: b\n\n", [b"a: b"]),
        (b"data\n\n", [b""]),
        (b"data:\n\n", [b""]),
        (b"data:\ndata:\n\n", [b"\n"]),
        (b"\n\n\r\n\r", []),
        (b": comment\n\ndata: a\n: comment\n\n", [b"a"]),
        (b":\n\n", []),
        (b"event: x\nid: 7\nretry: 1\n\n", []),
        (b"event: x\ndata: a\nid: 7\n\n", [b"a"]),
        (b"Data: a\n data: b\ndata : c\ndatas: d\n\n", []),
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a", []),
        (b"data: a\n", []),
        (b"data: a\n\ndata: b\n", [b"a"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [b"a"]),
        (b"data: a\n\xef\xbb\xbfdata: b\n\n", [b"a"]),
        ("data: é\u2028\x85\x0b\x0c\x1c b\n\n".encode(), ["é\u2028\x85\x0b\x0c\x1c b".encode()]),
        (b"data: \xff\x00\n\n", [b"\xff\x00"]),
    ],
)
def test_events_whole_and_byte_by_byte(stream: bytes, events: list[bytes]) -> None:
    assert EventStreamParser().feed(stream) == events
    parser = EventStreamParser()
    assert [event for byte in stream for event in parser.feed(bytes([byte]))] == events


def test_an_event_is_returned_with_the_byte_that_ends_it() -> None:
    parser = EventStreamParser()
    assert parser.feed(b"data: a\r") == []
    assert parser.feed(b"\n") == []
    assert parser.feed(b"\r") == [b"a"]
    assert parser.feed(b"\n") == []
    assert parser.feed(b"data: b\n\n") == [b"b"]


@pytest.mark.parametrize(
    "stream", [b"data: 45678\n\n", b"data:1\ndata:3\ndat\n\n", b": comment 1\ndata: a\n\n"]
)
def test_the_bound_is_the_longest_event_with_its_current_line(stream: bytes) -> None:
    fits, small = EventStreamParser(11), EventStreamParser(10)
    assert len(fits.feed(stream)) == 1
    assert not fits.overflowed
    assert small.feed(stream) == ([] if b"dat\n" not in stream else [b"1\n3"])
    assert small.overflowed is (b"dat\n" not in stream)


def test_after_an_overflow_nothing_is_held_and_nothing_comes() -> None:
    parser = EventStreamParser(16)
    assert parser.feed(b"data: a\n\ndata: " + b"x" * 100) == [b"a"]
    assert parser.overflowed
    assert parser.held == 0
    assert parser.feed(b"\n\ndata: b\n\n") == []
    assert parser.held == 0


def test_many_events_may_be_longer_than_the_bound_together() -> None:
    parser = EventStreamParser(16)
    assert len(parser.feed(b"data: 123456789\n\n" * 1000)) == 1000
    assert not parser.overflowed


class SpiedBuffer(bytearray):
    """Counts the bytes of itself that are read; appending and measuring are free."""

    read = 0

    def __bytes__(self) -> bytes:
        self.read += len(self)
        return bytes(memoryview(self))

    def find(self, *args: object) -> int:
        raise AssertionError("searched what it held")

    def index(self, *args: object) -> int:
        raise AssertionError("searched what it held")

    def __contains__(self, item: object) -> bool:
        raise AssertionError("searched what it held")

    def endswith(self, *args: object) -> bool:
        raise AssertionError("searched what it held")

    def splitlines(self, keepends: bool = False) -> list[bytearray]:
        raise AssertionError("split what it held")

    def split(self, sep: object = None, maxsplit: SupportsIndex = -1) -> list[bytearray]:
        raise AssertionError("split what it held")

    def partition(self, sep: object) -> tuple[bytearray, bytearray, bytearray]:
        raise AssertionError("split what it held")

    def __add__(self, other: object) -> bytearray:
        raise AssertionError("copied what it held")


@pytest.mark.parametrize("pieces", [10, 1000])
def test_a_long_line_is_read_once_however_many_pieces_it_comes_in(pieces: int) -> None:
    parser = EventStreamParser()
    held = SpiedBuffer()
    parser._line = held
    for _ in range(pieces):
        assert parser.feed(b"data: 7890") == []
    assert held.read == 0
    assert parser.held == pieces * 10
    parser.feed(b"\n")
    assert held.read == pieces * 10
    assert parser.feed(b"\n") == [(b"data: 7890" * pieces)[6:]]
    assert held.read == pieces * 10

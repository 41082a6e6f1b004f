"""Event streams: no split of the bytes changes what is read, and no more than the bound is held."""

from router_extproc.llm.sse import EventStreamParser

SEEDS = (
    b'data: {"a":1}\n\ndata: [DONE]\n\n',
    b"\xef\xbb\xbfdata:a\rdata:b\r\r: note\r\n\r\nevent: x\ndata\n\n",
    b"data: \x00\xff\r\n\r\nid: 1\n\n\n\n data: x\n\ndata: " + b"x" * 80,
)
LEAST, MOST = 1, 64


def target(data: bytes) -> None:
    """The first byte chooses the bound and the size of the pieces."""
    bound, step = LEAST + data[0] % MOST if data else LEAST, 1 + (data[0] // MOST if data else 0)
    for limit in (bound, 1 << 20):
        whole, split = EventStreamParser(limit), EventStreamParser(limit)
        read: list[bytes] = []
        for start in range(0, len(data), step):
            read += split.feed(data[start : start + step])
            assert split.held <= limit
        assert read == whole.feed(data)
        assert (split.overflowed, split.held) == (whole.overflowed, whole.held)

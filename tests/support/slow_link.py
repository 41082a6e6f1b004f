"""A TCP link that can be slowed down, between a client and a server that know nothing of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_CHUNK = 65_536


class SlowLink:
    """Listens on `port` and passes everything on to `host:target`. Each chunk from the server waits `delay`
    seconds, so that an answer takes at least that much longer; 0 passes it on at once."""

    def __init__(self, host: str, target: int) -> None:
        self._host = host
        self._target = target
        self._pumps: set[asyncio.Task[None]] = set()
        self._ends: list[asyncio.StreamWriter] = []
        self.delay = 0.0
        self.broken = False
        """Whether new connections are closed at once."""
        self.port = 0

    def cut(self) -> None:
        """Close every connection, and all that come, until `broken` is false again."""
        self.broken = True
        for end in self._ends:
            end.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["SlowLink"]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for pump in self._pumps:
                pump.cancel()
            await asyncio.gather(*self._pumps, return_exceptions=True)
            for end in self._ends:
                end.close()
                with contextlib.suppress(ConnectionError):  # closed by the other side: closed all the same
                    await end.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.broken:
            writer.close()
            return
        to_server = await asyncio.open_connection(self._host, self._target)
        self._ends += [writer, to_server[1]]
        for source, sink, is_answer in ((reader, to_server[1], False), (to_server[0], writer, True)):
            pump = asyncio.create_task(self._pump(source, sink, is_answer))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, is_answer: bool) -> None:
        with contextlib.suppress(ConnectionError):  # either end may leave; then the other one hears of it
            while chunk := await source.read(_CHUNK):
                if is_answer and self.delay:
                    await asyncio.sleep(self.delay)
                sink.write(chunk)
                await sink.drain()
        sink.close()

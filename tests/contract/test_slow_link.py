"""The link that faults are made with passes everything on, as late as it is told to, and leaves nothing."""

import asyncio
import time

from tests.support.slow_link import SlowLink


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(1024):
        writer.write(chunk)
        await writer.drain()
    writer.close()


async def test_a_slow_link_delays_answers_by_what_it_is_told_and_changes_nothing() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, SlowLink("127.0.0.1", server.sockets[0].getsockname()[1]).running() as link:
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        for delay in (0.0, 0.2):
            link.delay = delay
            began = time.monotonic()
            writer.write(b"question")
            assert await asyncio.wait_for(reader.readexactly(8), 5) == b"question"
            assert time.monotonic() - began >= delay
        writer.close()
        await writer.wait_closed()

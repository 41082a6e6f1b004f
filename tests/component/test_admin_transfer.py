"""Entries out of the cache and into it over real sockets: byte for byte, whatever is sent."""

import asyncio
import base64
import io
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import numpy as np
import pytest

from router_extproc.base.completion import Completion, Usage
from router_extproc.server.api.cache import PREFIX
from router_extproc.server.exported import LINE_BYTES, line_of
from tests.support.cache_api import ENCODER, TOKEN, Cache, Client, opened
from tests.support.entries import DIMENSION, NOW, a_vector, an_entry, new_partition
from tests.support.processes import wait_until


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with opened(Cache()) as client:
        yield client


TEXTS = [
    "plain",
    "  leading and trailing \t\r\n",
    "zero \x00 and escape \x1b[2J",
    "你好 世界",
    "👩‍👩‍👧‍👦 é e\u0301",
    "\u2028 line separator",
    '"quotes" \\ and {"json": [1]}\n{"id": 1}',
    "",
]


async def test_what_was_exported_is_imported_byte_for_byte() -> None:
    source, target = Cache(), Cache()
    entries = []
    for number, text in enumerate(TEXTS):
        entry = an_entry(
            new_partition(),
            text,
            completion=Completion("m", text[::-1], "stop", (("reasoning_content", text),), Usage(0, 2**40)),
            vector=a_vector(number),
            created_at=NOW + 0.1 * number,
            expires_at=NOW + 1000 / 3,
            exact_only=bool(number % 2),
        )
        entries.append(entry)
        await source.store.put(entry)
    async with opened(source) as client:
        exported = await client.get("/export")
    assert exported.headers["content-type"] == "application/x-ndjson"
    assert exported.body.count(b"\n") == len(TEXTS)
    async with opened(target) as client:
        report = (await client.call("POST", "/import", data=exported.body)).json()
        assert (report["imported"], report["skipped"], report["refused"]) == (len(TEXTS), 0, [])
        assert (await client.get("/export")).body == exported.body
        again = (await client.call("POST", "/import", data=exported.body)).json()
        assert (again["imported"], again["present"]) == (0, len(TEXTS))
    for entry in entries:
        found = await target.store.find(entry.id, NOW)
        assert found is not None
        assert replace(found, vector=entry.vector) == entry
        assert found.vector.tobytes() == entry.vector.tobytes()


async def test_an_export_covers_its_selector(client: Client) -> None:
    await client.cache.store.put(an_entry(new_partition(), tenant="t1"))
    await client.cache.store.put(an_entry(new_partition(), tenant="t2"))
    lines = (await client.get("/export", tenant="t2")).body.splitlines()
    assert [json.loads(line)["tenant"] for line in lines] == ["t2"]
    assert (await client.get("/export", tenat="t2")).status == 400


async def test_an_export_that_breaks_off_is_seen_to(caplog: pytest.LogCaptureFixture) -> None:
    cache = Cache(breaks_after=2)
    for number in range(4):
        await cache.store.put(an_entry(new_partition(), f"secret {number}"))
    async with opened(cache) as client:
        with caplog.at_level(logging.INFO), pytest.raises(aiohttp.ClientError):
            await client.get("/export")
    assert "the store went away" in caplog.text
    assert "secret" not in caplog.text


def exported(**changes: Any) -> bytes:
    row = json.loads(line_of(an_entry(new_partition()), ENCODER)) | changes
    return json.dumps(row).encode()


def completion(**changes: Any) -> dict[str, Any]:
    return {"model": "m", "content": "x", "finish_reason": "stop", "extras": [], "usage": None} | changes


def vector_of(*components: float) -> str:
    return base64.b64encode(np.array(components, dtype="<f4").tobytes()).decode()


HOSTILE = {
    "not JSON": (b"{", "truncated"),
    "not an object": (b"[]", "object"),
    "not UTF-8": (exported().replace(b"capital", b"capit\xff"), "UTF-8"),
    "a lone surrogate": (exported().replace(b"capital", b"\\ud800"), "surrogate"),
    "foreign keys": (exported(admin=True), "unknown field `admin`"),
    "a missing key": (b'{"version": 1}', "missing required field"),
    "another version": (exported(version=2), "version"),
    "another encoder": (exported(encoder="other"), "another encoder"),
    "an id that is none": (exported(id="../../etc"), "id"),
    "an upper-case id": (exported(id="A" * 32), "id"),
    "an id with a line end": (exported(id="a" * 32 + "\n"), "id"),
    "the id of another text": (exported(id="a" * 32), "digest"),
    "a partition that is none": (exported(partition='" or true'), "partition"),
    "a short vector": (exported(vector=vector_of(1.0)), "vector"),
    "no base64": (exported(vector="*" * 88), "base64"),
    "NaN": (exported(vector=vector_of(float("nan"), *[0.0] * (DIMENSION - 1))), "finite"),
    "infinity": (exported(vector=vector_of(float("inf"), *[0.0] * (DIMENSION - 1))), "finite"),
    "a long vector": (exported(vector=vector_of(3e38, *[3e38] * (DIMENSION - 1))), "length 1"),
    "a zero vector": (exported(vector=vector_of(*[0.0] * DIMENSION)), "length 1"),
    "NaN as a time": (exported(expires_at=float("nan")), ""),
    "a time beyond floats": (exported().replace(b"1700000000.25", b"1e999"), ""),
    "born after its end": (exported(created_at=NOW + 9000.0), "expires_at"),
    "from the future": (exported(created_at=NOW + 1000.0), "future"),
    "an unfinished answer": (exported(completion=completion(finish_reason="length")), "finish_reason"),
    "an extra field in the place of the content": (
        exported(completion=completion(extras=[["content", "y"]])),
        "extras",
    ),
    "deep nesting": (b'{"version": ' + b"[" * 100_000, ""),
    "a long line": (exported(text="x" * LINE_BYTES), "1048576 bytes"),
    "a very long line": (b"\xff" * (5 * LINE_BYTES), "1048576 bytes"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_line_is_refused_and_the_next_one_taken(client: Client, name: str) -> None:
    line, reason = HOSTILE[name]
    good = exported()
    reply = await client.call("POST", "/import", data=io.BytesIO(line + b"\n\n" + good + b"\n"))
    report = reply.json()
    assert (reply.status, report["imported"], report["refused_count"]) == (200, 1, 1), report
    (refusal,) = report["refused"]
    assert (refusal["line"], reason in refusal["reason"]) == (1, True), refusal
    assert len(refusal["reason"]) < 400
    assert "France" not in refusal["reason"]
    assert await client.ids() == {json.loads(good)["id"]}


async def test_only_the_first_twenty_refusals_are_told(client: Client) -> None:
    report = (await client.call("POST", "/import", data=b"x\n" * 50)).json()
    assert (report["refused_count"], len(report["refused"])) == (50, 20)
    assert [refusal["line"] for refusal in report["refused"]] == list(range(1, 21))


async def test_expired_and_invalidated_entries_are_skipped(client: Client) -> None:
    await client.post("/flush")
    client.cache.clock.advance(10)
    lines = [exported(expires_at=NOW + 5.0), exported(), exported(created_at=NOW + 5.0)]
    report = (await client.call("POST", "/import", data=b"\n".join(lines))).json()
    assert (report["imported"], report["expired"], report["invalidated"]) == (1, 1, 1)
    assert report["skipped"] == 2


async def test_an_import_never_replaces_a_newer_answer(client: Client) -> None:
    old = an_entry(new_partition(), content="old")
    new = replace(an_entry(old.partition, content="new"), created_at=NOW + 0.5)
    await client.cache.store.put(new)
    report = (await client.call("POST", "/import", data=line_of(old, ENCODER))).json()
    assert (report["imported"], report["present"]) == (0, 1)
    assert (await client.get(f"/entries/{new.id}")).json()["answer"]["content"] == "new"


async def test_an_imported_entry_lives_no_longer_than_a_mark(client: Client) -> None:
    line = exported(created_at=NOW + 30.0, expires_at=NOW + 1e9)
    assert (await client.call("POST", "/import", data=line)).json()["imported"] == 1
    (entry,) = (await client.get("/entries")).json()["entries"]
    now = client.cache.clock.now()
    assert (entry["created_at"], entry["expires_at"]) == (now, now + 86_400.0)


async def test_an_import_in_many_small_pieces(client: Client) -> None:
    body = exported() + b"\n" + exported()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    assert (await client.call("POST", "/import", data=pieces())).json()["imported"] == 2


async def test_an_import_that_breaks_off_keeps_what_came(client: Client) -> None:
    line = exported() + b"\n"
    head = (
        f"POST {PREFIX}/import HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
        "content-type: application/x-ndjson\r\ncontent-length: 99999\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", int(client.url.rpartition(":")[2]))
    writer.write(head.encode() + line)
    await wait_until(client.ids, "the first line to be taken", 5.0)
    writer.close()
    await writer.wait_closed()
    assert await reader.read() == b""
    assert await client.ids() == {json.loads(line)["id"]}


async def test_chunks_that_are_none_are_an_error_in_json(client: Client) -> None:
    head = (
        f"POST {PREFIX}/import HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
        "content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", int(client.url.rpartition(":")[2]))
    writer.write(head.encode() + b"5\r\nhello\r\nzz\r\n")
    async with asyncio.timeout(5):
        assert b" 400 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_the_loop_serves_others_during_a_long_export_and_import() -> None:
    cache = Cache()
    for number in range(500):
        await cache.store.put(an_entry(new_partition(), f"{number} " + "x" * 1000))
    async with opened(cache) as client:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0)
                ticks += 1

        task = asyncio.create_task(tick())
        body = (await client.get("/export")).body
        assert ticks >= 500
        ticks = 0
        await client.call("POST", "/import", data=body)
        assert ticks >= 500
        task.cancel()

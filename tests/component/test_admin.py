"""The cache's HTTP API over real sockets: who may call it, what it refuses, and what it changes."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from router_extproc.base.refusals import Failure
from router_extproc.caching.marks import Kind, Selector, pair_of
from router_extproc.ports import PortError
from router_extproc.server.api.cache import PREFIX, cache_routes
from router_extproc.server.exported import line_of
from tests.support.cache_api import BEARER, ENCODER, TOKEN, Cache, Client, opened
from tests.support.entries import NOW, an_entry, new_partition

ID = "0" * 32
ROUTES = [(route.method, route.path) for route in cache_routes(Cache().admin)]
"""Every route there is: one that forgot to ask for the token fails here."""


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with opened(Cache()) as client:
        yield client


def paths_of(path: str) -> str:
    return path.removeprefix(PREFIX).replace("{id}", "0" * 32)


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        TOKEN,
        f"Basic {TOKEN}",
        "Bearer wrong",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN.upper()}",
        "Bearer \N{LATIN SMALL LETTER E WITH ACUTE}",
    ],
)
async def test_no_route_answers_without_the_token(method: str, path: str, authorization: str | None) -> None:
    cache = Cache()
    await cache.store.put(an_entry(new_partition()))
    headers = {} if authorization is None else {"authorization": authorization}
    async with opened(cache) as client:
        reply = await client.call(method, paths_of(path), headers=headers, data=b'{"all": true}')
    assert reply.status == 401, reply.body
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert "admin.token_file" in reply.error
    assert TOKEN.encode() not in reply.body
    assert cache.marked == []


async def test_two_authorizations_are_none(client: Client) -> None:
    headers = [("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer other")]
    assert (await client.call("GET", "/stats", headers=headers)).status == 401


async def test_a_body_without_the_token_is_not_waited_for(client: Client) -> None:
    """The answer is there while the body has not begun to come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(client.url.rpartition(":")[2]))
    writer.write(f"POST {PREFIX}/import HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n".encode())
    async with asyncio.timeout(5):
        assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
    writer.close()
    await writer.wait_closed()


async def test_errors_of_the_server_are_json_too(client: Client) -> None:
    assert (await client.get("/nothing")).status == 404
    assert "Not Found" in (await client.get("/nothing")).error
    reply = await client.get("/flush")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert "Method Not Allowed" in reply.error


@pytest.mark.parametrize("path", ["/invalidate", "/flush", "/feedback"])
async def test_a_body_beyond_64_kib_is_refused(client: Client, path: str) -> None:
    reply = await client.call("POST", path, data=b" " * 65_537)
    assert reply.status == 413
    assert reply.error
    assert client.cache.marked == []


async def test_a_compressed_body_is_refused(client: Client) -> None:
    headers = BEARER | {"content-encoding": "gzip"}
    for path in ("/flush", "/import"):
        assert (await client.call("POST", path, headers=headers, data=b"\x1f\x8b")).status == 415


async def test_what_shows_texts_is_kept_by_nobody_on_the_way(client: Client) -> None:
    for path in ("/stats", "/entries", "/export"):
        assert (await client.get(path)).headers["cache-control"] == "no-store"


async def test_stats_say_how_full_the_cache_is_and_what_it_did(client: Client) -> None:
    await client.cache.store.put(an_entry(new_partition()))
    stats = (await client.get("/stats")).json()
    assert stats["tiers"][0]["backend"] == "memory"
    assert stats["tiers"][0]["entries"] == 1
    assert stats["counters"] == {"hits": 3, "misses": 4}
    assert (stats["scope"], stats["similarity_threshold"], stats["encoder"]) == ("credential", 0.85, ENCODER)


async def test_health_and_capabilities(client: Client) -> None:
    assert (await client.get("/health")).json()["status"] == "healthy"
    assert (await client.get("/capabilities")).json()["selectors"] == [
        "tenant", "model", "category", "entry", "all",
    ]  # fmt: skip


async def test_a_list_shows_no_text_unless_asked(client: Client) -> None:
    entry = an_entry(new_partition(), "a question " + "long " * 300)
    await client.cache.store.put(entry)
    (listed,) = (await client.get("/entries")).json()["entries"]
    assert listed["id"] == entry.id
    assert "text" not in listed
    (shown,) = (await client.get("/entries", text="true")).json()["entries"]
    assert (shown["text"], shown["text_is_cut"]) == (entry.text[:1000], True)
    assert b"Paris" not in (await client.get("/entries", text="true")).body


@pytest.mark.parametrize(
    ("kind", "value", "other"),
    [
        ("tenant", "t1", "t2"),
        ("model", "qwen3-8b", "qwen3-32b"),
        ("category", "history", ""),
        ("category", "", "history"),
        ("tenant", 'x" or 1 == 1 or "', "t2"),
        ("model", "a' || true --", "qwen3-8b"),
        ("category", "%\\u0022\n{}", "history"),
        ("tenant", "😀 你好", "t2"),
    ],
)
async def test_a_selector_selects_its_value_and_nothing_else(
    client: Client, kind: str, value: str, other: str
) -> None:
    traits: dict[str, Any] = {kind: value}
    chosen = an_entry(new_partition(), **traits)
    traits[kind] = other
    rest = an_entry(new_partition(), **traits)
    await client.cache.store.put(chosen)
    await client.cache.store.put(rest)
    assert await client.ids(**{kind: value}) == {chosen.id}
    covered = (await client.post("/invalidate", {kind: value, "dry_run": True})).json()
    assert (covered["covered"], covered["more"], client.cache.marked) == (1, False, [])
    answer = await client.post("/invalidate", {kind: value})
    assert answer.json()["selector"] == {"kind": kind, "value": value}
    assert client.cache.marked == [Selector(Kind(kind), value)]
    assert await client.ids() == {rest.id}


async def test_a_limit_is_kept_and_said(client: Client) -> None:
    for number in range(3):
        await client.cache.store.put(an_entry(new_partition(), str(number)))
    two, three = await client.get("/entries", limit="2"), await client.get("/entries", limit="3")
    assert (len(two.json()["entries"]), two.json()["more"]) == (2, True)
    assert (len(three.json()["entries"]), three.json()["more"]) == (3, False)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"text": "yes"}, "text"),
        ({"tenant": ""}, "tenant"),
        ({"tenant": "x" * 513}, "tenant"),
        ({"entry": "zz"}, "entry"),
        ({"tennant": "x"}, "tennant"),
        ({"tenant": "x", "model": "y"}, "give one of"),
    ],
)
async def test_a_query_that_is_not_understood_is_refused_by_name(
    client: Client, query: dict[str, str], named: str
) -> None:
    reply = await client.get("/entries", **query)
    assert (reply.status, named in reply.error) == (400, True), reply.body


async def test_a_parameter_given_twice_is_refused(client: Client) -> None:
    assert (await client.get("/entries?tenant=a&tenant=b")).status == 400


async def test_one_entry_is_shown_whole(client: Client) -> None:
    entry = an_entry(new_partition(), "question\n\t🙂", content="  answer\r\n")
    await client.cache.store.put(entry)
    shown = (await client.get(f"/entries/{entry.id}")).json()
    assert (shown["text"], shown["answer"]["content"]) == (entry.text, "  answer\r\n")
    assert shown["answer"]["usage"] == {"prompt_tokens": 7, "completion_tokens": 3}


@pytest.mark.parametrize("entry_id", ["0" * 32, "x", "0" * 33, "%2F", '"'])
async def test_an_unknown_entry_is_a_404(client: Client, entry_id: str) -> None:
    reply = await client.get(f"/entries/{entry_id}")
    assert (reply.status, reply.json()["error"]["code"]) == (404, "ENTRY_NOT_FOUND")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"all": False},
        {"all": True, "tenant": "x"},
        {"tenant": "x", "model": "y"},
        {"tenant": 5},
        {"tenant": ""},
        {"entry": "not-an-id"},
        {"al": True},
        {"tenant": "x", "dryrun": True},
        {"tenant": "x", "dry_run": "true"},
        [],
        None,
        "all",
    ],
)
async def test_what_does_not_clearly_say_what_to_invalidate_is_refused(client: Client, body: object) -> None:
    await client.cache.store.put(an_entry(new_partition()))
    reply = await client.post("/invalidate", body)
    assert reply.status == 400, reply.body
    assert reply.error
    assert client.cache.marked == []


async def test_an_unknown_field_is_named(client: Client) -> None:
    assert "dryrun" in (await client.post("/invalidate", {"all": True, "dryrun": True})).error
    assert "force" in (await client.post("/flush", {"force": True})).error
    assert "why" in (await client.post("/feedback", {"entry": ID, "question": ID, "why": 1})).error


async def test_a_flush_takes_back_all_that_was_asked_until_now(client: Client) -> None:
    entry = an_entry(new_partition())
    await client.cache.store.put(entry)
    assert (await client.post("/flush")).json() == {
        "selector": {"kind": "all", "value": ""}, "at": NOW + 1.0, "shared": True,
    }  # fmt: skip
    assert await client.ids() == set()
    assert (await client.get(f"/entries/{entry.id}")).status == 404
    later = replace(entry, created_at=NOW + 2.0)
    await client.cache.store.put(later)
    assert await client.ids() == {entry.id}


async def test_what_reaches_the_store_after_it_was_taken_back_is_not_shown(client: Client) -> None:
    await client.post("/flush")
    late = an_entry(new_partition())
    await client.cache.store.put(late)
    assert await client.ids() == set()
    assert (await client.get(f"/entries/{late.id}")).status == 404
    assert (await client.get("/export")).body == b""
    assert (await client.post("/invalidate", {"all": True, "dry_run": True})).json()["covered"] == 0


async def test_it_says_when_the_other_replicas_do_not_know_yet() -> None:
    async with opened(Cache(shared=False)) as client:
        assert (await client.post("/flush")).json()["shared"] is False


async def test_feedback_takes_the_entry_back_and_blocks_the_pair(client: Client) -> None:
    entry = an_entry(new_partition())
    await client.cache.store.put(entry)
    question = "f" * 32
    answer = (await client.post("/feedback", {"entry": entry.id, "question": question})).json()
    assert answer["pair_blocked"] is True
    assert client.cache.marked == [
        Selector(Kind.ENTRY, entry.id), Selector(Kind.PAIR, pair_of(question, entry.id)),
    ]  # fmt: skip
    assert await client.ids() == set()
    again = replace(entry, created_at=NOW + 2.0)
    assert client.cache.marks.current.revokes(again, question)
    assert not client.cache.marks.current.revokes(again, entry.id)


async def test_feedback_on_an_exact_hit_lets_the_next_answer_in(client: Client) -> None:
    entry = an_entry(new_partition())
    answer = (await client.post("/feedback", {"entry": entry.id, "question": entry.id})).json()
    assert answer["pair_blocked"] is False
    assert client.cache.marked == [Selector(Kind.ENTRY, entry.id)]
    assert not client.cache.marks.current.revokes(replace(entry, created_at=NOW + 2.0), entry.id)


@pytest.mark.parametrize("body", [{"entry": "0" * 32}, {"entry": "0" * 32, "question": "x"}, {}])
async def test_feedback_needs_both_ids(client: Client, body: object) -> None:
    assert (await client.post("/feedback", body)).status == 400
    assert client.cache.marked == []


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_store_that_fails_is_a_503_with_the_reason(method: str, path: str) -> None:
    cache = Cache(trouble=PortError(Failure.UNAVAILABLE, "milvus:19530 refuses connections"))
    body = {"/feedback": b'{"entry": "%s", "question": "%s"}' % (b"0" * 32, b"1" * 32), "/flush": b""}.get(
        path.removeprefix(PREFIX), b'{"all": true}'
    )
    if path.endswith("/import"):
        body = line_of(an_entry(new_partition()), ENCODER)
    async with opened(cache) as client:
        reply = await client.call(method, paths_of(path), data=body)
    if path.endswith("/capabilities"):
        assert reply.status == 200
    else:
        assert (reply.status, "milvus:19530" in reply.error) == (503, True)


async def test_a_value_that_the_store_cannot_take_is_the_clients_mistake() -> None:
    async with opened(Cache(trouble=PortError(Failure.INVALID, "too long"))) as client:
        assert (await client.post("/flush")).status == 400


async def test_no_text_and_no_token_reaches_the_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        line = line_of(an_entry(new_partition()), ENCODER)
        await client.call("POST", "/import", data=line + b"rubbish from France\n")
        await client.get("/entries", text="true")
        await client.get(f"/entries/{json.loads(line)['id']}")
        await client.get("/export")
        await client.post("/flush")
    assert "invalidated all" in caplog.text
    assert "France" not in caplog.text
    assert "Paris" not in caplog.text
    assert TOKEN not in caplog.text

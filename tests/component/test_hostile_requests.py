"""Requests that nobody sends by accident, through a real Envoy to a router of its own process: each gets an
error in OpenAI's form or passes as it is, and costs bounded memory, processor time and patience of the
others.

`docs/INPUT.md` has the table.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.guarded import ATTACK
from tests.support.served import Reply, Served, lags, served

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1 << 20
JSON = {"content-type": "application/json"}
DEEP = 100_000
LISTS = b"[" * DEEP + b"]" * DEEP
OBJECTS = b'{"a":' * DEEP + b"1" + b"}" * DEEP
SAYS_ATTACK = json.dumps(ATTACK).encode()
LATE = 2.5
"""Seconds. On an idle machine no body here holds the loop for 0.5; without bounds the dense ones held it for
15."""


def body(
    content: bytes = b'"What is the capital of France?"', messages: bytes = b"", more: bytes = b""
) -> bytes:
    """A request written by hand; `more` are further members, with their comma."""
    said = messages or b'[{"role":"user","content":' + content + b"}]"
    return b'{"model":"auto","messages":' + said + more + b"}"


def prose(size: int) -> bytes:
    return b'"' + (b"some words of it " * (size // 17 + 1))[:size] + b'"'


def repeated(piece: bytes, times: int) -> bytes:
    return b"[" + b",".join([piece] * times) + b"]"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def plain(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with served(tmp_path_factory.mktemp("plain"), {}) as router:
        yield router
        await sound(router)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """Fails closed, and has time to read on a loaded machine."""
    changes: dict[str, Any] = {
        "prompt_guard": {"enabled": True, "threshold": 0.5, "on_error": "block"},
        "semantic_cache": {"enabled": False},
        "encoder": {"timeout_ms": 1900},
    }
    async with served(tmp_path_factory.mktemp("guarded"), changes) as router:
        yield router
        await sound(router)


async def sound(router: Served) -> None:
    """Nothing of what came broke anything."""
    assert (await router.send(body())).status == 200
    samples = await router.metrics()
    assert not [name for name in samples if name.startswith("router_protocol_violations_total")]
    assert router.bugs() == []


REFUSED: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "arrays 100,000 deep in an unknown field": (body(more=b',"x":' + LISTS), 400),
    "objects 100,000 deep in an unknown field": (body(more=b',"x":' + OBJECTS), 400),
    "arrays 100,000 deep in a message": (body(LISTS), 400),
    "objects 100,000 deep in a message": (body(OBJECTS), 400),
    "100,000 deep in the arguments of a tool": (
        body(messages=b'[{"role":"assistant","tool_calls":[{"function":{"arguments":' + OBJECTS + b"}}]}]"),
        400,
    ),
    "100,000 deep under a name that stands twice": (body(more=b',"x":' + LISTS + b',"x":1'), 400),
    "invalid UTF-8": (body(b'"\xff\xfe"'), 400),
    "a surrogate in UTF-8": (body(b'"\xed\xa0\x80"'), 400),
    "half a surrogate pair": (body(b'"\\ud800"'), 400),
    "NaN": (body(more=b',"temperature":NaN'), 400),
    "Infinity": (body(more=b',"temperature":-Infinity'), 400),
    "a number of 100,000 digits": (body(more=b',"seed":' + b"9" * 100_000), 400),
    "a number beyond any double": (body(more=b',"temperature":1e999'), 400),
    "a byte order mark": (b"\xef\xbb\xbf" + body(), 400),
    "UTF-16": (body().decode().encode("utf-16"), 400),
    "UTF-32": (body().decode().encode("utf-32-le"), 400),
    "garbage after the object": (body() + b"{}", 400),
    "a comment": (b"/* hi */" + body(), 400),
    "a comma too many": (body(more=b","), 400),
    "single quotes": (body().replace(b'"', b"'"), 400),
    "a stream that is a word": (body(more=b',"stream":"true"'), 400),
    "a stream that is a number": (body(more=b',"stream":1'), 400),
    "messages that are an object": (body(messages=b'{"role":"user","content":"hi"}'), 400),
    "messages that are text": (body(messages=b'"hi"'), 400),
    "a role that is a number": (body(messages=b'[{"role":1,"content":"hi"}]'), 400),
    "a model that is a list": (body().replace(b'"auto"', b'["auto"]'), 400),
    "two million empty arrays": (body(more=b',"x":' + repeated(b"[]", 2_000_000)), 413),
    "two million members": (body(more=b"".join(b',"%07x":1' % number for number in range(1_000_000))), 413),
    "a million messages": (body(messages=repeated(b'{"role":"user"}', 1_000_000)), 413),
    "a million quotes": (b'"' * MIB, 400),
    "a million escaped quotes": (b'"' + b'\\"' * (MIB // 2), 400),
    "a byte more than 16 MiB": (body(prose(16 * MIB)), 413),
    "64 MiB": (body(prose(64 * MIB)), 413),
}


def refused(answer: Reply, status: int) -> None:
    assert answer.status == status, answer.body[:200]
    assert answer.headers["content-type"] == "application/json"
    assert answer.error["type"] == "invalid_request_error"


@pytest.mark.parametrize("name", REFUSED)
async def test_a_hostile_body_is_refused_in_openai_s_shape(plain: Served, name: str) -> None:
    content, status = REFUSED[name]
    before = len(plain.upstream.requests)
    refused(await plain.send(content), status)
    assert len(plain.upstream.requests) == before, "a model saw it"


PASSED: dict[str, bytes] = {
    "names twice, of which the last counts": b'{"model":"x","messages":[],'
    b'"model":"auto","messages":[{"role":"user","content":"a","content":"b"}]}',
    "an odd number of choices": body(more=b',"n":"many","temperature":"hot","stop":{}'),
    "numbers of 300 digits": body(more=b',"seed":' + b"9" * 300 + b',"top_p":0.' + b"9" * 300),
    "nul and control characters, escaped": body(b'"\\u0000\\u001b[2J\\r\\n\\u2028\\ufffe"'),
    "400 levels": body(more=b',"x":' + b"[" * 400 + b"]" * 400),
    "content of no known kind": body(b'{"text":[1,null,{"a":true}]}'),
    "10,000 messages": body(
        messages=b"[" + b",".join(b'{"role":"user","content":"Note %d."}' % n for n in range(10_000)) + b"]"
    ),
    "1 MiB": body(prose(MIB)),
    "a million tokens": body(prose(4 * MIB)),
    "nearly 16 MiB": body(prose(16 * MIB - 1024)),
    "white space": b" \r\n\t" * 100_000 + body() + b"\n" * 100_000,
}


@pytest.mark.parametrize("chunk", [0, 65_536])
@pytest.mark.parametrize("name", PASSED)
async def test_a_body_that_is_odd_passes_with_nothing_changed_but_the_model(
    plain: Served, name: str, chunk: int
) -> None:
    content = PASSED[name]
    answer = await plain.send(content, chunk=chunk)
    assert answer.status == 200, answer.body[:200]
    arrived = plain.upstream.requests[-1]
    model = json.dumps(arrived.json()["model"]).encode()
    start = content.rindex(b'"auto"')
    tail = content[start + len(b'"auto"') :]
    assert arrived.body.endswith(model + tail) or arrived.body.replace(model, b'"auto"').endswith(tail)
    want = json.loads(content)
    assert {name: value for name, value in arrived.json().items() if name in want} == want | {
        "model": arrived.json()["model"]
    }


async def test_bytes_one_by_one_are_a_body(plain: Served) -> None:
    assert (await plain.send(body(), chunk=1)).status == 200


@pytest.mark.parametrize("count", [80, 3_000])
async def test_header_fields_are_envoys_to_bound(plain: Served, count: int) -> None:
    """Envoy takes 100 fields and 60 KiB of them by default; what it takes, the router does too."""
    fields = {**JSON, **{f"x-odd-{number}": "v" * 100 for number in range(count)}}
    assert (await plain.send(body(), fields)).status in ((200,) if count < 100 else (0, 431))
    long = {**JSON, "authorization": "Bearer " + "v" * 50_000, "x-session-id": "s" * 5_000}
    assert (await plain.send(body(), long)).status == 200


AROUND: dict[str, bytes] = {
    "messages twice": body(more=b',"messages":[{"role":"user","content":"hi"}]').replace(
        b'"What is the capital of France?"', SAYS_ATTACK
    ),
    "messages twice, spelt in escapes": body(
        SAYS_ATTACK, more=b',"m\\u0065ssages":[{"role":"user","content":"hi"}]'
    ),
    "messages in capitals": body(
        b'"hi"', more=b',"MESSAGES":[{"role":"user","content":' + SAYS_ATTACK + b"}]"
    ),
    "content twice": body(messages=b'[{"role":"user","content":' + SAYS_ATTACK + b',"content":"hi"}]'),
    "a part's text twice": body(b'[{"type":"text","text":' + SAYS_ATTACK + b',"text":"hi"}]'),
    "an argument twice": body(
        messages=b'[{"role":"assistant","tool_calls":[{"function":{"arguments":{"a":'
        + SAYS_ATTACK
        + b',"a":1}}}]},{"role":"user","content":"hi"}]'
    ),
    "the model twice": body(more=b',"model":"qwen3-8b"'),
}


@pytest.mark.parametrize("name", AROUND)
async def test_what_servers_read_differently_is_no_way_around_the_guards(guarded: Served, name: str) -> None:
    before = len(guarded.upstream.requests)
    refused(await guarded.send(AROUND[name]), 400)
    assert len(guarded.upstream.requests) == before, "a model saw it"


READ: dict[str, bytes] = {
    "the text": body(SAYS_ATTACK),
    "a role": body(messages=b'[{"role":' + SAYS_ATTACK + b',"content":"hi"},{"role":"user","content":"hi"}]'),
    "the name of an argument": body(
        messages=b'[{"role":"assistant","tool_calls":[{"function":{"arguments":{'
        + SAYS_ATTACK
        + b':1}}}]},{"role":"user","content":"hi"}]'
    ),
    "the id of a tool call": body(
        messages=b'[{"role":"tool","content":"4","tool_call_id":'
        + SAYS_ATTACK
        + b'},{"role":"user","content":"hi"}]'
    ),
    "a part of a kind nobody knows": body(b'[{"type":' + SAYS_ATTACK + b',"text":"hi"}]'),
}


@pytest.mark.parametrize("name", READ)
async def test_the_guard_reads_whatever_a_template_may_write_out(guarded: Served, name: str) -> None:
    before = len(guarded.upstream.requests)
    answer = await guarded.send(READ[name])
    assert answer.headers.get("x-vsr-jailbreak-blocked") == "true", answer.body[:200]
    assert len(guarded.upstream.requests) == before, "a model saw it"


TYPES = [
    *("application/json", "APPLICATION/JSON", "application/json; charset=utf-16", "application/json;;", ""),
    *("text/plain", "application/vnd.api+json", "application/json, text/plain", "multipart/form-data"),
]
PATHS = [
    *(
        "/v1/chat/completion%73",
        "/v1/chat%2Fcompletions",
        "/v1//chat/completions",
        "/v1/x/../chat/completions",
    ),
    *("/v1/chat/completions/", "/V1/Chat/Completions", "/v1/chat/completions;a=b", "/v1/chat\\completions"),
    *("http://other.test/v1/chat/completions", "/v1/chat/completions?a=b", "/v1/%2e/chat/completions//"),
]


@pytest.mark.parametrize("media", [None, *TYPES])
async def test_no_spelling_of_the_content_type_is_a_way_around_the_guards(
    guarded: Served, media: str | None
) -> None:
    before = len(guarded.upstream.requests)
    answer = await guarded.send(body(SAYS_ATTACK), {} if media is None else {"content-type": media})
    if answer.status != 200:
        refused(answer, 415)
    else:
        assert answer.headers["x-vsr-jailbreak-blocked"] == "true"
    assert len(guarded.upstream.requests) == before, "a model saw it"


@pytest.mark.parametrize("path", PATHS)
async def test_no_spelling_of_the_path_is_a_way_around_the_guards(guarded: Served, path: str) -> None:
    before = len(guarded.upstream.requests)
    answer = await guarded.send(body(SAYS_ATTACK), path=path)
    assert answer.headers.get("x-vsr-jailbreak-blocked") == "true", answer.body[:200]
    assert len(guarded.upstream.requests) == before, "a model saw it"


@pytest.mark.parametrize("which", ["plain", "guarded"])
async def test_others_are_served_while_hostile_bodies_are_read(
    plain: Served, guarded: Served, which: str
) -> None:
    """A million tokens, as many values as may be, and far more than that, one after the other."""
    router = plain if which == "plain" else guarded
    before = lags(await router.metrics(), LATE)
    hostile = [
        body(prose(4 * MIB)),
        body(prose(16 * MIB - 1024)),
        body(messages=repeated(b'{"role":"user","a":1}', 40_000)),
        body(messages=repeated(b'{"role":"user"}', 1_000_000)),
        body(more=b',"x":' + repeated(b"[]", 5_000_000)),
    ]
    statuses, asked = [], 0
    for each in hostile:
        sending = asyncio.create_task(router.send(each))
        while not sending.done():
            answer = await router.send(body(messages=b'[{"role":"user","content":"Hello %d."}]' % asked))
            # A guard that fails closed says 503 to whom the encoder, busy with long ones, has no time for.
            assert answer.status in ((200,) if which == "plain" else (200, 503))
            asked += 1
        statuses.append(sending.result().status)
    assert statuses[-2:] == [413, 413]
    assert lags(await router.metrics(), LATE) == before


async def test_memory_is_bounded_by_the_body_and_does_not_grow(plain: Served) -> None:
    """At most 12 times the longest body above what there was; the allocator keeps some of it, but not more
    with each."""
    fresh = plain.resident()
    plain.forget_peak()
    after: list[int] = []
    for _ in range(10):
        for content in (body(prose(15 * MIB)), body(more=b',"x":' + repeated(b"[]", 5_000_000))):
            await plain.send(content)
        after.append(plain.resident())
    assert plain.peak() - fresh < 12 * 16 * MIB
    assert max(after[5:]) - max(after[:5]) < 32 * MIB


async def test_processor_time_is_linear_in_the_body(plain: Served) -> None:
    """Four times the bytes cost at most eight times as much; clocks of processes tick each 10 ms."""

    async def cost(size: int) -> float:
        began = plain.seconds()
        for number in range(3):
            await plain.send(body(prose(size)[:-9] + b'%08d"' % number))
        return plain.seconds() - began

    await cost(MIB)
    short, long = await cost(3 * MIB), await cost(12 * MIB)
    assert long < 8 * max(short, 0.1)

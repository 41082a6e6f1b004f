"""What a router says is read as it is meant, whatever its version adds."""

from typing import Any

import msgspec
import pytest

from router_extproc.app.glance import read_decisions, read_overview, read_readiness
from router_extproc.base.errors import OperatorError
from router_extproc.server.api.overview import Served, overview_of
from router_extproc.telemetry.record import as_json, record_of
from router_extproc.telemetry.spending import Price
from router_extproc.telemetry.window import Window
from tests.support.glances import ADDRESS, DECISIONS, NOT_READY, READY, overview
from tests.support.play import ANSWER, chat_body, chat_headers, pieces, response_headers
from tests.support.stories import Scene


async def test_what_this_router_says_is_read_without_loss() -> None:
    window = Window(Scene().clock.now())
    scene = Scene(tellers=[window.tell])
    await scene.told(chat_headers(), chat_body(), response_headers(), *pieces(ANSWER))
    await scene.told(chat_headers(), chat_body(), ident="x2")
    served = Served(2, "abc", "why", {"small": None, "large": Price("USD", 0.4, 1.2)})
    document = msgspec.to_builtins(overview_of(window.read(scene.clock.now()), served, {}))
    read = msgspec.to_builtins(read_overview(document, ADDRESS))
    assert read == only(document, read)
    assert read.keys() >= {"requests", "added_latency_ms", "cache", "flows", "models", "configuration"}


def only(document: Any, read: Any) -> Any:
    """What of `document` is read."""
    if isinstance(read, dict):
        return {key: only(document[key], read[key]) for key in read}
    if isinstance(read, list | tuple):
        return type(read)(only(one, other) for one, other in zip(document, read, strict=True))
    return document


async def test_a_record_of_this_router_is_read_without_loss() -> None:
    scene = Scene()
    story = await scene.told(chat_headers(), chat_body(), response_headers(), *pieces(ANSWER))
    document = as_json(record_of(story))
    [read] = read_decisions({"decisions": [document]}, ADDRESS)
    assert msgspec.to_builtins(read) == only(document, msgspec.to_builtins(read))
    assert (read.answered_by, read.category) == ("model", "math")


def test_fields_of_later_versions_are_passed_over() -> None:
    assert read_overview(overview(weather="fine"), ADDRESS).requests.total == 12034
    first, *_ = read_decisions({"decisions": [{**DECISIONS["decisions"][0], "mood": 1}]}, ADDRESS)
    assert first.model == "qwen3-32b"


@pytest.mark.parametrize("document", [{}, {"requests": 1}, overview(models=None), [], None])
def test_what_is_no_overview_is_said_with_its_place(document: object) -> None:
    with pytest.raises(OperatorError, match=ADDRESS) as raised:
        read_overview(document, ADDRESS)
    assert "own version" in str(raised.value)


@pytest.mark.parametrize("document", [{}, {"decisions": None}, {"decisions": [{}]}, {"decisions": 3}])
def test_what_are_no_decisions_is_said(document: dict[str, Any]) -> None:
    with pytest.raises(OperatorError, match="list of decisions"):
        read_decisions(document, ADDRESS)


def test_the_rates_of_the_kinds_of_hits_add_up_to_the_hit_rate() -> None:
    cache = overview()["cache"] | {"hits": {"exact": 30, "semantic": 10, "stale": 7}, "misses": {"guard": 60}}
    assert read_overview(overview(cache=cache), ADDRESS).cache.rates == {"exact": 0.3, "semantic": 0.1}
    nothing = cache | {"hits": {"stale": 7}, "misses": {}}
    assert read_overview(overview(cache=nothing), ADDRESS).cache.rates == {}


def test_a_router_is_ready_where_every_check_holds() -> None:
    assert read_readiness(200, READY).ready
    assert read_readiness(200, READY).reasons == ()


def test_a_router_that_is_not_ready_says_why() -> None:
    found = read_readiness(503, NOT_READY)
    assert not found.ready
    assert [reason.partition(":")[0] for reason in found.reasons] == ["envoy"]
    other = read_readiness(503, {"checks": {"envoy": True, "store": False}})
    assert other.reasons == ("store: this check does not hold",)


@pytest.mark.parametrize(
    ("status", "document", "reason"),
    [
        (503, {"error": {"code": "DEADLINE_EXCEEDED", "message": "no answer within 60 s"}}, "within 60 s"),
        (500, {}, "status 500"),
        (503, {"checks": {}}, "status 503"),
        (200, {"checks": {"envoy": "yes"}}, "envoy"),
    ],
)
def test_what_does_not_say_ready_is_not_ready(status: int, document: dict[str, Any], reason: str) -> None:
    found = read_readiness(status, document)
    assert not found.ready
    assert reason in found.reasons[0]

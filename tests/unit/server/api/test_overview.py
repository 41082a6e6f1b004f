import msgspec

from router_extproc.routing.world import Condition
from router_extproc.server.api.overview import Overview, Served, overview_of, overview_routes
from router_extproc.server.pool import Pool
from router_extproc.telemetry.spending import Price
from router_extproc.telemetry.window import SLOT_SECONDS, Window
from tests.support.play import ANSWER, chat_body, chat_headers, pieces, response_headers
from tests.support.ports import FakeClock
from tests.support.stories import Scene

SERVED = Served(2, "abc", "router.yaml: line 3: no", {"small": None, "large": Price("USD", 0.4, 1.2)})


def test_of_a_router_that_was_asked_nothing_everything_is_empty_or_null() -> None:
    clock = FakeClock()
    told = overview_of(Window(clock.now()).read(clock.now()), SERVED, {})
    assert (told.requests.total, told.requests.per_second, told.requests.history) == (0, 0.0, [])
    assert (told.cache.hit_rate, told.added_latency_ms.p99) == (None, None)
    assert [model.name for model in told.models] == ["small", "large"]
    assert {(model.healthy, model.in_flight, model.error_rate) for model in told.models} == {
        (None, None, None)
    }
    assert told.configuration.last_error == SERVED.problem
    assert (told.generation, told.configuration.generation, told.configuration.policy) == (2, 2, "abc")


async def test_traffic_is_told_by_way_model_and_reason() -> None:
    scene = Scene()
    window = Window(scene.clock.now())
    scene = Scene(tellers=[window.tell])
    asked = (chat_headers(), chat_body())
    await scene.told(*asked, response_headers(), *pieces(ANSWER))
    await scene.told(*asked, ident="x2")
    await scene.told(chat_headers(), chat_body("{"), ident="x3")
    scene.clock.advance(SLOT_SECONDS)
    conditions = {"large": Condition(available=False, in_flight=3, error_rate=1 / 3)}
    told = overview_of(window.read(scene.clock.now()), SERVED, conditions)
    assert (told.requests.total, told.requests.in_window) == (3, 3)
    assert len(told.requests.history) == len(told.cache.history) == len(told.added_latency_ms.history) > 0
    assert (told.cache.hits, told.cache.misses) == ({"exact": 1}, {"nothing_similar": 1})
    assert told.cache.hit_rate == 0.5
    assert told.refusals == {"invalid_json": 1}
    ways = {(each.category, each.model, each.answered_by): each.count for each in told.flows}
    assert ways == {("math", "large", "model"): 1, (None, None, "cache"): 1, (None, None, "router"): 1}
    small, large = told.models
    assert (small.requests, small.healthy, small.price, small.latency_ms.p50) == (0, None, None, None)
    assert (large.requests, large.healthy, large.in_flight, large.error_rate) == (1, False, 3, 0.3333)
    assert large.price is not None
    assert (large.price.currency, large.price.completion_per_1m) == ("USD", 1.2)
    assert large.latency_ms.p95 is not None
    assert msgspec.convert(msgspec.to_builtins(told), Overview) == told


async def test_nothing_that_a_client_wrote_is_told() -> None:
    window = Window(FakeClock().now())
    scene = Scene(tellers=[window.tell])
    await scene.told(chat_headers(), chat_body())
    text = msgspec.json.encode(overview_of(window.read(scene.clock.now()), SERVED, {}))
    assert b"Add 2" not in text


async def test_the_route_reads_what_is_served_with_now() -> None:
    clock, served = FakeClock(), [SERVED]
    [route] = overview_routes(Window(clock.now()), Pool(), lambda: served[-1], clock)
    assert route.handle is not None
    served.append(Served(3, "def", None, {}))
    told = await route.handle(None)
    assert isinstance(told, Overview)
    assert (told.generation, told.models) == (3, [])

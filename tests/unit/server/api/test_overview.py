import msgspec

from router_extproc.routing.world import Condition
from router_extproc.server.api.overview import (
    FRESH_SECONDS,
    READINGS,
    Overview,
    Served,
    overview_of,
    overview_routes,
)
from router_extproc.server.api.route import Route
from router_extproc.server.pool import Pool
from router_extproc.telemetry.spending import Price
from router_extproc.telemetry.window import SLOT_SECONDS, Recent, Window
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


class CountingWindow(Window):
    readings = 0

    def read(self, now: float) -> Recent:
        self.readings += 1
        return super().read(now)


async def polled(route: Route) -> Overview:
    assert route.handle is not None
    told = await route.handle(None)
    assert isinstance(told, Overview)
    return told


async def test_polls_without_traffic_share_a_reading_for_a_second() -> None:
    steady = FakeClock(50.0)
    window = CountingWindow(steady.now(), steady.now)
    [route] = overview_routes(window, Pool(), lambda: SERVED, FakeClock())
    for _ in range(32):
        await polled(route)
        steady.advance(1 / 16)
    assert window.readings == 2
    assert (await polled(route)).uptime_s == 2.0


async def test_polls_under_traffic_are_bounded_in_their_readings_and_never_older_than_a_second() -> None:
    steady = FakeClock(50.0)
    window = CountingWindow(steady.now(), steady.now)
    scene = Scene(tellers=[window.tell])
    [route] = overview_routes(window, Pool(), lambda: SERVED, FakeClock())
    for number in range(80):
        await scene.told(chat_headers(), chat_body("{"), ident=f"x{number}")
        for _ in range(5):
            assert (await polled(route)).requests.total >= number - 39
        steady.advance(0.025)
    assert window.readings == 2 * READINGS
    steady.advance(FRESH_SECONDS)
    assert (await polled(route)).requests.total == 80


async def test_of_a_few_requests_each_is_told_at_once() -> None:
    steady = FakeClock(50.0)
    window = Window(steady.now(), steady.now)
    scene = Scene(tellers=[window.tell])
    [route] = overview_routes(window, Pool(), lambda: SERVED, FakeClock())
    for number in range(READINGS - 1):
        assert (await polled(route)).requests.total == number
        await scene.told(chat_headers(), chat_body("{"), ident=f"x{number}")
    assert (await polled(route)).requests.total == READINGS - 1


async def test_the_pool_and_the_configuration_are_never_old() -> None:
    clock, served = FakeClock(), [SERVED]
    [route] = overview_routes(Window(clock.now()), Pool(), lambda: served[-1], clock)
    assert (await polled(route)).generation == 2
    served.append(Served(3, "def", None, {}))
    told = await polled(route)
    assert (told.generation, told.models, told.configuration.policy) == (3, [], "def")


async def test_a_step_of_the_wall_clock_changes_no_rate() -> None:
    steady, wall = FakeClock(50.0), FakeClock()
    window = Window(steady.now(), steady.now)
    scene = Scene(tellers=[window.tell])
    [route] = overview_routes(window, Pool(), lambda: SERVED, wall)
    for number in range(60):
        await scene.told(chat_headers(), chat_body("{"), ident=f"x{number}")
        steady.advance(1.0)
        if number == 30:
            wall.advance(-3600)
            scene.clock.advance(-3600)
    told = await polled(route)
    assert (told.uptime_s, told.window_s, told.requests.in_window) == (60.0, 60.0, 60)
    assert told.requests.per_second == 1.0
    assert max(told.requests.history) == 1.0

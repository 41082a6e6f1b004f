import json

import msgspec
import pytest

from router_extproc.page.shown import live as shown
from router_extproc.server.api.overview import Served, overview_of
from router_extproc.telemetry.spending import Price
from router_extproc.telemetry.window import SLOT_SECONDS, Window
from tests.support.play import ANSWER, chat_body, chat_headers, pieces, response_headers
from tests.support.stories import Scene

SERVED = Served(1, "abc", None, {"large": Price("USD", 0.4, 1.2), "small": None})
ASKED = (chat_headers(), chat_body())


async def overview() -> dict[str, object]:
    """What the API says after a miss, its hit and a refusal."""
    scene = Scene()
    window = Window(scene.clock.now())
    scene = Scene(tellers=[window.tell])
    await scene.told(*ASKED, response_headers(), *pieces(ANSWER))
    await scene.told(*ASKED, ident="x2")
    await scene.told(chat_headers(), chat_body("{"), ident="x3")
    scene.clock.advance(SLOT_SECONDS)
    told: dict[str, object] = msgspec.to_builtins(overview_of(window.read(scene.clock.now()), SERVED, {}))
    return told


def quiet() -> dict[str, object]:
    """What it says when nobody has asked."""
    told: dict[str, object] = msgspec.to_builtins(overview_of(Window(0.0).read(0.0), SERVED, {}))
    return told


async def test_tiles_have_the_figures_and_what_they_rest_on() -> None:
    requests, latency, hits, refused = shown.tiles(await overview())
    assert "3 in" in requests.note
    assert "3 in all" in requests.note
    assert latency.value.endswith("ms") or latency.value.endswith(" s")
    assert (hits.value, hits.note) == ("50 %", "of 2 lookups")
    assert (refused.value, refused.note, refused.tone) == ("1", "invalid json", "warn")


def test_a_quiet_router_has_tiles_without_figures() -> None:
    requests, latency, hits, refused = shown.tiles(quiet())
    assert (requests.value, latency.value, hits.value, refused.value) == ("0", "–", "–", "0")  # noqa: RUF001
    assert refused.tone == ""


async def test_the_diagram_leads_from_category_over_decision_to_who_answers() -> None:
    [series] = shown.flow(await overview())["series"]
    names = {node["name"]: node["value"] for node in series["data"]}
    links = {(names[each["source"]], names[each["target"]]): each["value"] for each in series["links"]}
    assert links == {
        ("math", "default rules"): 1,
        ("default rules", "large"): 1,
        ("not read", "none needed"): 1,
        ("none needed", "the cache"): 1,
        ("no category", "default rules"): 1,
        ("default rules", "refused"): 1,
    }


def test_a_category_that_is_called_as_a_model_makes_no_circle() -> None:
    way = {"category": "math", "decision": "math", "model": "math", "answered_by": "model", "count": 2}
    [series] = shown.flow({"flows": [way]})["series"]
    assert len(series["data"]) == 3
    assert all(link["source"] != link["target"] for link in series["links"])


def test_a_name_is_no_template_and_no_longer_than_there_is_room() -> None:
    way = {"category": "{b}" + "x" * 60, "decision": None, "model": "m", "answered_by": "model", "count": 1}
    [series] = shown.flow({"flows": [way]})["series"]
    label = series["data"][0]["label"]["formatter"]
    assert label.startswith("(b)xx")
    assert len(label) == 24


async def test_the_table_says_what_the_diagram_shows() -> None:
    rows = shown.ways(await overview())
    assert sum(row["count"] for row in rows) == 3
    assert {row["model"] for row in rows} == {"large", "the cache", "refused"}
    assert len({row["id"] for row in rows}) == 3


@pytest.mark.parametrize("curve", [shown.traffic, shown.latency, shown.hit_rate])
async def test_curves_have_a_point_for_each_sample_and_can_be_sent(curve: object) -> None:
    assert callable(curve)
    for said in (await overview(), quiet()):
        options = curve(said)
        [series] = options["series"]
        history = said["requests"]["history"]  # type: ignore[index]
        assert len(series["data"]) == len(options["xAxis"]["data"]) == len(history)
        json.dumps(options)


@pytest.mark.parametrize(
    ("history", "dots"),
    [([0.5], [0]), ([None, 0.5, None], [1]), ([0.5, None, 0.5, 0.5], [0]), ([0.5, 0.5, None], [])],
)
def test_a_sample_without_neighbours_is_a_dot_because_a_line_needs_two(
    history: list[float | None], dots: list[int]
) -> None:
    said = {"cache": {"history": history}, "sample_s": 5.0, "requests": {"history": history}}
    data = shown.hit_rate(said)["series"][0]["data"]
    assert [place for place, each in enumerate(data) if isinstance(each, dict)] == dots
    assert [each["value"] if isinstance(each, dict) else each for each in data] == [
        None if each is None else 100 * each for each in history
    ]


def test_bars_are_shares_of_the_largest() -> None:
    first, second = shown.bars({"exact": 4, "semantic": 1})
    assert (first.name, first.value, first.share) == ("word for word", "4", 1.0)
    assert second.share == 0.25
    assert shown.bars({}) == ()

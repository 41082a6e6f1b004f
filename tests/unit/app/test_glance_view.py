"""Pictures of a router: what is on them, and that they fit."""

from typing import Any

import pytest

from router_extproc.app.glance import Glance, read_decisions, read_overview, read_readiness
from router_extproc.app.glance_view import LEAST_ROWS, plain_lines, shared, status_view, top_view
from tests.support.glances import ADDRESS, DECISIONS, LEFT_ALONE, NOT_READY, READY, flow, model, overview

AT = "09:20:02 UTC"


MANY: dict[str, Any] = {
    "models": [model(f"model-{number}", True, 0, 1) for number in range(30)],
    "flows": [flow(f"category-{number}", None, "m", "model", 40 - number) for number in range(40)],
    "decisions": {"decisions": DECISIONS["decisions"] * 10},
}


def glance(decisions: Any = DECISIONS, *, ready: bool = True, **changes: Any) -> Glance:
    return Glance(
        ADDRESS,
        read_readiness(200, READY) if ready else read_readiness(503, NOT_READY),
        read_overview(overview(**changes), ADDRESS),
        decisions if isinstance(decisions, str) else read_decisions(decisions, ADDRESS),
    )


def status_lines(width: int = 100, **changes: Any) -> list[str]:
    return plain_lines(status_view(glance(**changes)), width)


def top_lines(width: int = 100, height: int | None = None, trouble: str = "", **changes: Any) -> list[str]:
    return plain_lines(top_view(glance(**changes), AT, height, trouble), width)


def cells(lines: list[str], start: str) -> list[str]:
    """Of the one line that begins with `start`."""
    [line] = [each for each in lines if each.startswith(start)]
    return line.split()


def test_status_says_everything_of_one_look() -> None:
    lines = status_lines()
    assert lines[:2] == [
        f"{ADDRESS}: ready, up 2 h 5 min",
        "415 requests in 5 min, 12,034 since the start, configuration 2 (1f2e3d4c5b6a)",
    ]
    assert cells(lines, "requests") == ["requests", "4.13", "/s", "▁▅█"]
    assert cells(lines, "added p95") == "added p95 14.2 ms p50 5.1 ms, p99 31 ms ▅█".split()
    assert cells(lines, "cache hits") == "cache hits 43.3 % ▅█".split()
    assert cells(lines, "found") == (
        "found exact 120 (28.3 %), semantic 80 (18.9 %), coalesced 2 (0.5 %)".split()
    )
    assert cells(lines, "missed") == "missed nothing_similar 210, guard 12".split()
    assert cells(lines, "not looked up") == "not looked up no_tenant 3".split()
    assert cells(lines, "refused") == "refused jailbreak 3".split()
    assert cells(lines, "qwen3-32b") == "qwen3-32b up 3 210 0 1.2 s 3.4 s".split()
    assert cells(lines, "qwen3-8b") == "qwen3-8b up 0 4 4 - -".split()
    assert cells(lines, "phi4") == "phi4 not known - 0 0 - -".split()


def test_a_router_that_serves_with_something_broken_is_degraded_and_says_by_what() -> None:
    served = {"generation": 3, "policy": "p", "last_error": "router.yaml: no such model"}
    lines = status_lines(models=LEFT_ALONE, failures={"store": 2}, configuration=served)
    assert lines[0].startswith(f"{ADDRESS}: degraded, ")
    assert lines[2:5] == [
        "left alone after failures: qwen3-8b",
        "failed in this window: store 2",
        "a changed configuration was refused: router.yaml: no such model",
    ]
    assert cells(lines, "qwen3-8b") == "qwen3-8b left alone 0 4 4 - -".split()
    assert status_lines(ready=False, models=LEFT_ALONE)[0].startswith(f"{ADDRESS}: not ready, ")


def test_why_it_is_not_ready_and_what_was_refused_is_said_in_full() -> None:
    error = "config/router.yaml: decisions[0].modelRefs[0].model: " + "no such model; " * 12
    served = {"generation": 1, "policy": "p", "last_error": error}
    lines = status_lines(60, ready=False, configuration=served)
    assert lines[0].startswith(f"{ADDRESS}: not ready, ")
    said = "".join(lines).replace(" ", "")
    assert "norequestthroughEnvoyreachesthisrouter" in said
    assert error.replace(" ", "") in said
    assert max(map(len, lines)) <= 60


def test_of_a_router_that_was_asked_nothing_there_is_little_to_see() -> None:
    nothing: dict[str, Any] = {
        "requests": {"total": 0, "in_window": 0, "per_second": 0.0, "history": []},
        "added_latency_ms": {"p50": None, "p95": None, "p99": None, "history": []},
        "cache": {"hit_rate": None, "hits": {}, "misses": {}, "skipped": {}, "history": []},
        "flows": [],
        "models": [],
        "refusals": {},
        "uptime_s": 0.4,
        "window_s": 0.4,
    }
    lines = top_lines(decisions={"decisions": []}, **nothing)
    assert cells(lines, "added p95") == "added p95 - p50 -, p99 -".split()
    assert "no request in this window" in lines
    assert "no decisions yet" in lines
    assert status_lines(**nothing)[1].startswith("0 requests in 0 s, 0 since the start, ")


def test_top_shows_ways_and_the_last_decisions() -> None:
    lines = top_lines()
    assert lines[0].startswith(f"{AT} {ADDRESS}: ready, ")
    assert cells(lines, "math") == ["math", "-", "qwen3-32b", "210", "50.6", "%", "█████"]
    assert cells(lines, "-  ") == ["-", "-", "cache", "202", "48.7", "%", "█████"]
    assert cells(lines, "law") == "law legal router (refused) 3 0.7 % █".split()
    assert cells(lines, "09:20:01") == "09:20:01 math - qwen3-32b 200 5.2 ms 1.3 s".split()
    assert cells(lines, "09:20:00") == "09:20:00 - - cache (exact): qwen3-32b 200 0.4 ms 1.2 ms".split()
    assert cells(lines, "09:19:59") == "09:19:59 law legal router (refused) 403 jailbreak - 1.2 ms".split()
    assert cells(lines, "09:19:58") == "09:19:58 - - nobody client left - 1.2 ms".split()


def test_why_there_are_no_decisions_is_said() -> None:
    assert "no decisions to see: they need the token" in top_lines(decisions="they need the token")


def test_a_router_that_went_away_is_not_called_ready() -> None:
    lines = top_lines(trouble="since 09:19:00 UTC: nothing answers there")
    assert f"{ADDRESS}: no answer" in lines[0]
    assert lines[2] == "since 09:19:00 UTC: nothing answers there"
    assert len(top_lines(height=24, trouble="gone", ready=False, **MANY)) == 24


@pytest.mark.parametrize("height", [23, 24, 30, 50, 100])
@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_picture_fits_the_terminal(width: int, height: int) -> None:
    lines = top_lines(width, height, ready=False, **MANY)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    if height < 100:
        assert len(lines) == height


def test_what_there_is_no_room_for_is_counted() -> None:
    lines = top_lines(120, 30, **MANY)
    assert sum(line.startswith("model-") for line in lines) == 4
    assert any(line.startswith("MODEL (+26)") for line in lines)


def test_a_small_list_leaves_its_room_to_the_others() -> None:
    assert shared(20, (3, 40, 40)) == (3, 8, 9)
    assert shared(100, (3, 40, 5)) == (3, 40, 5)
    assert shared(0, (3, 40, 1)) == (LEAST_ROWS, LEAST_ROWS, 1)
    assert shared(-5, (0, 0, 0)) == (0, 0, 0)


def test_on_a_narrow_terminal_names_give_way_and_numbers_stay() -> None:
    long = flow("a-category-with-a-long-name", "a-decision-with-a-long-name", "a-model-" * 6, "model", 12345)
    lines = top_lines(80, flows=[long])
    [line] = [each for each in lines if each.startswith("a-cat")]
    assert "…" in line
    assert "12,345" in line
    assert "100.0 %" in line
    assert max(map(len, lines)) <= 80


def test_what_comes_from_elsewhere_commands_no_terminal() -> None:
    evil = "\x1b]0;title\x07[bold]"
    lines = top_lines(
        200,
        models=[model(evil, False, 0, 1)],
        failures={evil: 1},
        configuration={"generation": 1, "policy": evil, "last_error": evil},
        flows=[flow(evil, evil, evil, "model", 1)],
        refusals={evil: 1},
        decisions=evil,
        trouble=evil,
    )
    text = "\n".join(lines)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert text.count(r"\x1b]0;title\x07[bold]") == 10


def test_a_terminal_without_block_elements_gets_ascii() -> None:
    text = "\n".join(plain_lines(top_view(glance(), AT, None), 100, ascii_only=True))
    assert text.isascii()
    assert "_=#" in text

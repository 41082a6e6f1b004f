from dataclasses import fields
from typing import Any

import msgspec

from router_extproc.base.refusals import Failure
from router_extproc.exchange.events import Message
from router_extproc.page.shown import requests as shown
from router_extproc.ports import PortError
from router_extproc.telemetry.record import record_of
from router_extproc.telemetry.story import Story
from tests.support.play import ANSWER, chat_body, chat_headers, pieces, response_headers
from tests.support.stories import Scene

ASKED: tuple[Message, ...] = (chat_headers(), chat_body())
WHOLE: tuple[Message, ...] = (*ASKED, response_headers(), *pieces(ANSWER))


def record(story: Story) -> dict[str, Any]:
    """As the API sends it."""
    told: dict[str, Any] = msgspec.to_builtins(record_of(story))
    return told


async def test_a_miss_is_explained_by_category_model_and_time() -> None:
    told = record(await Scene().told(*WHOLE))
    row = shown.row(told)
    assert (row.outcome, row.tone, row.category, row.model) == ("model", "", "math", "large")
    assert row.cache.startswith("miss")
    assert shown.summary(told) == "The request is about math (90 %); large was chosen (by category)."
    assert [bar.name for bar in shown.domains(told)] == ["math", "history"]
    assert shown.candidates(told) == [("large", "chosen, score 1.00")]
    assert {bar.name for bar in shown.steps(told)} >= {"encoder", "waiting for the encoder"}
    assert max(bar.share for bar in shown.steps(told)) == 1.0
    assert dict(shown.moments(told))["complete after"] == "3.0 s"
    assert dict(shown.cache(told))["Missed"] == "nothing similar"


async def test_a_hit_says_how_it_was_found_and_has_no_category() -> None:
    scene = Scene()
    await scene.told(*WHOLE)
    told = record(await scene.told(*ASKED, ident="x2"))
    row = shown.row(told)
    assert (row.outcome, row.tone, row.cache, row.category) == ("cache", "good", "word for word", "–")  # noqa: RUF001
    assert shown.summary(told) == "The cache answered (word for word) with what large had said."
    assert shown.domains(told) == ()
    assert shown.signals(told) == []
    assert len(dict(shown.cache(told))["Entry"]) == 32


async def test_a_refusal_and_a_client_that_left_are_told_as_such() -> None:
    told = record(await Scene().told(chat_headers(), chat_body("{")))
    assert shown.row(told).outcome == "refused: invalid json"
    assert shown.summary(told) == "The router refused it: invalid json."
    told = record(await Scene().told(chat_headers()))
    assert shown.row(told).outcome == "client left"
    assert shown.summary(told) == "The client left before anybody answered."


async def test_failures_are_told() -> None:
    told = record(await Scene(trouble=PortError(Failure.TIMEOUT)).told(*WHOLE))
    assert shown.failures(told) == [("analyst", "timeout")]
    assert shown.summary(told).startswith("No category was certain")


async def test_every_part_is_text() -> None:
    told = record(await Scene().told(*WHOLE))
    row = shown.row(told)
    assert all(isinstance(getattr(row, field.name), str) for field in fields(row))
    for part in (shown.facts, shown.cache, shown.guards, shown.candidates, shown.moments, shown.signals):
        assert all(isinstance(name, str) and isinstance(value, str) for name, value in part(told))


def test_of_a_hit_by_meaning_the_cosine_is_in_the_list() -> None:
    cache = {"action": "hit", "kind": "semantic", "similarity": 0.8712, "skipped": []}
    assert shown.cache_word(cache) == "by meaning 0.87"

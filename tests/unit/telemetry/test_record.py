import json
import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from router_extproc.base.refusals import Failure
from router_extproc.exchange.events import Message
from router_extproc.exchange.tracing import Tracing, debug_digest
from router_extproc.ports import PortError
from router_extproc.routing.uncertainty import ThinkingPolicy
from router_extproc.screening.policy import (
    AnswerPolicy,
    GuardPolicy,
    Least,
    OnError,
    ScreeningPolicy,
    Strictness,
)
from router_extproc.telemetry.log import JsonLines
from router_extproc.telemetry.recent import Recent
from router_extproc.telemetry.record import (
    DECISIONS,
    TRACES,
    Decisions,
    as_json,
    record_of,
    tell_kept_trace,
    tell_trace,
)
from router_extproc.telemetry.spans import Name, spans_of
from router_extproc.telemetry.story import Story
from tests.support.play import ANSWER, PLAN, chat_body, chat_headers, pieces, response_headers
from tests.support.stories import Scene


def record(story: Story) -> dict[str, Any]:
    return as_json(record_of(story))


ASKED: tuple[Message, ...] = (chat_headers(), chat_body())
WHOLE: tuple[Message, ...] = (*ASKED, response_headers(), *pieces(ANSWER))
SHOWABLE = replace(PLAN, tracing=Tracing(debug=debug_digest("word")))


async def test_a_miss_says_who_answered_and_why() -> None:
    scene = Scene()
    story = await scene.told(*WHOLE)
    found = record(story)
    assert found["request_id"] == story.opened.reference
    assert found["trace_id"] == story.opened.root.trace_id
    assert (found["requested"], found["model"], found["answered_by"]) == ("auto", "large", "model")
    assert (found["category"], found["confidence"], found["rule"]) == ("math", 0.9, "auto_routing")
    assert (found["status"], found["rejected"], found["cancelled"]) == (200, None, False)
    assert found["facts"]["domain"] == {"math": 0.9, "history": 0.1}
    assert found["candidates"] == [{"model": "large", "score": 1.0, "dropped": []}]
    assert found["cache"]["action"] == "queued"
    assert found["cache"]["missed"] == "nothing_similar"
    assert found["cache"]["entry"] == next(ident for _, ident in scene.store.entries)
    assert datetime.fromisoformat(found["time"]) == datetime.fromtimestamp(story.ended, UTC)
    assert found["usage"] == {"prompt_tokens": 9, "completion_tokens": 3}
    assert (found["generation"], found["policy"]) == ("g1", "math")
    assert found["tenant"]
    assert found["milliseconds"]["analysis"] == pytest.approx(10.0)
    assert found["milliseconds"]["run"] == 5.0
    assert found["milliseconds"]["total"] == pytest.approx(3010.0)


async def test_a_hit_names_the_entry() -> None:
    scene = Scene()
    await scene.told(*WHOLE)
    found = record(await scene.told(*ASKED, ident="x2"))
    assert (found["answered_by"], found["model"], found["cache"]["action"]) == ("cache", "large", "hit")
    assert found["cache"]["entry"] in {ident for _, ident in scene.store.entries}
    assert found["facts"] is None
    assert (found["status"], found["cache"]["kind"], found["cache"]["similarity"]) == (200, "exact", 1.0)
    assert found["requested"] == "auto"
    assert found["tenant"]


async def test_an_error_of_the_client_s_is_recorded_with_the_reason() -> None:
    found = record(await Scene().told(chat_headers(), chat_body("{")))
    assert (found["answered_by"], found["rejected"]) == ("router", "invalid_json")
    assert found["status"] == 400
    assert (found["model"], found["candidates"], found["cache"]["action"]) == (None, [], "none")


async def test_a_failed_port_and_a_full_queue_are_recorded() -> None:
    failed = record(await Scene(trouble=PortError(Failure.TIMEOUT)).told(*WHOLE))
    assert failed["failures"] == [{"port": "analyst", "reason": "timeout"}]
    assert failed["rule"] == "no_analysis"
    full = record(await Scene(room=False).told(*WHOLE))
    assert (full["cache"]["action"], full["cache"]["skipped"]) == ("miss", ["queue_full"])


@pytest.mark.parametrize(
    ("level", "word", "shown"),
    [
        (logging.INFO, "word", True),
        (logging.INFO, "guess", False),
        (logging.DEBUG, "guess", True),
        (logging.WARNING, "word", False),
    ],
)
async def test_a_trace_is_shown_to_who_has_the_word_or_at_debug(
    level: int, word: str, shown: bool, caplog: pytest.LogCaptureFixture
) -> None:
    messages = (chat_headers(("x-router-debug", word)), *WHOLE[1:])
    with caplog.at_level(level, TRACES):
        await Scene(SHOWABLE, tellers=[tell_trace]).told(*messages)
    assert len(caplog.records) == shown
    if shown:
        line = json.loads(JsonLines().format(caplog.records[0]))
        assert line["spans"][0]["name"] == "semantic_router.request.received"
        assert line["spans"][0]["start_ms"] == 0
        assert line["trace"]["outcome"]["model"] == "large"


async def test_a_decision_is_one_line_that_json_can_read(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, DECISIONS):
        await Scene(tellers=[Decisions(Recent(0), logs=True).tell]).told(*WHOLE)
    [logged] = caplog.records
    line = JsonLines().format(logged)
    assert "\n" not in line
    assert json.loads(line)["model"] == "large"
    assert json.loads(line)["message"] == "decision"


async def test_an_answer_before_the_request_was_read_has_its_status() -> None:
    found = record(await Scene().told(chat_headers(), response_headers("413")))
    assert (found["status"], found["answered_by"], found["rejected"]) == (413, None, None)


async def test_a_request_that_would_get_around_the_guards_is_on_record() -> None:
    plan = replace(PLAN, screening=ScreeningPolicy(GuardPolicy(Strictness(True, 0.5))))
    found = record(await Scene(plan).told(chat_headers(("content-encoding", "gzip"))))
    assert (found["answered_by"], found["rejected"]) == ("router", "unreadable")


async def test_at_debug_also_traces_that_are_not_kept_go_into_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plan = replace(PLAN, tracing=Tracing(sends=True, ratio=0.0))
    with caplog.at_level(logging.DEBUG, TRACES):
        await Scene(plan, tellers=[tell_kept_trace]).told(*WHOLE)
    assert len(caplog.records) == 1


async def test_sampled_traces_alone_go_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    for ratio, lines in ((0.0, 0), (1.0, 1)):
        caplog.clear()
        plan = replace(PLAN, tracing=Tracing(sends=True, ratio=ratio))
        with caplog.at_level(logging.INFO, TRACES):
            await Scene(plan, tellers=[tell_kept_trace]).told(*WHOLE)
        assert len(caplog.records) == lines


async def test_nothing_that_was_said_is_in_a_record_or_a_trace(caplog: pytest.LogCaptureFixture) -> None:
    headers = chat_headers(("x-session-id", "planted"), (":path", "/v1/chat/completions?k=planted"))
    body = chat_body('{"model":"auto","messages":[{"role":"user","content":"planted"}],"user":"planted"}')
    answer = ANSWER.replace(b"4", b"planted")
    assert answer != ANSWER
    with caplog.at_level(logging.DEBUG, "router_extproc"):
        scene = Scene(tellers=[tell_trace, Decisions(Recent(0), logs=True).tell])
        await scene.told(headers, body, response_headers(), *pieces(answer))
    lines = [JsonLines().format(each) for each in caplog.records]
    assert len(lines) == 2
    assert not [line for line in lines if "planted" in line]


async def test_an_answer_that_the_guards_read_first_is_called_so_under_its_entry_s_id() -> None:
    screened = replace(PLAN, screening=ScreeningPolicy(answers=AnswerPolicy(pii=Least())))
    story = await Scene(screened).told(*WHOLE)
    found = record(story)
    assert found["cache"]["action"] == "screening"
    kept = await Scene().told(*WHOLE)
    assert found["cache"]["entry"]
    [handed] = [span for span in spans_of(story) if span.name == Name.HAND_OVER]
    assert handed.attributes["cache.handed_to"] == "guards"
    assert handed.attributes["cache.key"] == found["cache"]["entry"]
    assert record(kept)["cache"]["action"] == "queued"


async def test_what_thinking_went_by_is_recorded() -> None:
    unsure = replace(
        PLAN,
        routing=replace(PLAN.routing, threshold=0.95, thinking=ThinkingPolicy({"math": True})),
    )
    story = await Scene(unsure).told(*WHOLE)
    found = record(story)["uncertainty"]
    assert (found["category"], found["reasoning"], found["thinking_share"]) == ("math", True, 0.9)
    [decided] = [span for span in spans_of(story) if span.name == Name.DECISION]
    assert decided.attributes["reasoning.reason"] == found["reason"]
    assert decided.attributes["reasoning.uncertainty"] == found["level"]
    assert record(await Scene().told(*WHOLE))["uncertainty"] is None


async def test_a_guard_that_could_not_look_is_recorded_with_the_status_of_the_refusal() -> None:
    strict = GuardPolicy(Strictness(enabled=True), on_error=OnError.BLOCK)
    closed = replace(PLAN, screening=ScreeningPolicy(guard=strict))
    found = record(await Scene(closed).told(*ASKED))
    assert [(each["guard"], each["outcome"]) for each in found["guards"]] == [("guard", "error_blocked")]
    assert (found["answered_by"], found["status"], found["rejected"]) == ("router", 503, "unscreened")

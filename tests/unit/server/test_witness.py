"""What the driver tells the witness of an exchange."""

import pytest

from router_extproc.base.refusals import Failure, Uncached
from router_extproc.exchange.effects import (
    Analyse,
    CacheSkipped,
    Cancelled,
    LookupExact,
    LookupSimilar,
    Store,
)
from router_extproc.exchange.events import Message
from router_extproc.exchange.notes import Judged
from router_extproc.ports import PortError
from router_extproc.telemetry.story import Done, Story
from tests.support.play import ANSWER, AT, chat_body, chat_headers, pieces, response_headers
from tests.support.stories import ANALYSIS_SECONDS, Scene

WHOLE: tuple[Message, ...] = (chat_headers(), chat_body(), response_headers(), *pieces(ANSWER))


async def test_every_question_is_told_with_its_times_and_no_content() -> None:
    story = await Scene().told(*WHOLE)
    found = {done.deed: done for done in story.done}
    assert found[Analyse] == Done(
        Analyse, "done", AT + 1, AT + 1 + ANALYSIS_SECONDS, AT + 1 + ANALYSIS_SECONDS
    )
    assert found[LookupExact].status == found[LookupSimilar].status == "miss"
    assert found[Store].status == "done"
    assert story.ended == pytest.approx(AT + 3 + ANALYSIS_SECONDS)


async def test_a_failing_port_is_told_with_the_reason() -> None:
    trouble = PortError(Failure.OVERLOADED)
    story = await Scene(trouble=trouble).told(chat_headers(), chat_body())
    assert [done.status for done in story.done if done.deed is Analyse] == ["overloaded"]


async def test_a_full_queue_is_told_and_noted() -> None:
    scene = Scene(room=False)
    story = await scene.told(*WHOLE)
    assert [done.status for done in story.done if done.deed is Store] == ["queue_full"]
    assert CacheSkipped(Uncached.QUEUE_FULL, storing=True) in scene.telemetry.notes
    assert CacheSkipped(Uncached.QUEUE_FULL, storing=True) in story.all(CacheSkipped)


async def test_a_stream_that_is_cut_off_is_told_too() -> None:
    story = await Scene().told(chat_headers(), chat_body())
    assert story.first(Cancelled) is not None
    assert story.first(Judged) is not None


async def test_of_what_is_not_the_router_s_business_there_is_no_story() -> None:
    other = chat_headers((":path", "/v1/embeddings"))
    assert await Scene().story(other) is None


async def test_a_witness_sees_the_notes_that_telemetry_gets() -> None:
    scene = Scene()
    story = await scene.told(*WHOLE)
    assert [story.opened, *(seen.note for seen in story.seen)] == scene.telemetry.notes


async def test_a_teller_with_a_bug_ends_no_stream_and_its_message_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def raises(story: Story) -> None:
        raise RuntimeError("secret")

    scene = Scene(tellers=[raises])
    await scene.told(*WHOLE)
    assert "secret" not in caplog.text
    assert "bug: RuntimeError" in caplog.text

from dataclasses import replace

import pytest

from router_extproc.base.refusals import Failure
from router_extproc.exchange.effects import Analyse
from router_extproc.exchange.events import Message
from router_extproc.ports import PortError
from router_extproc.telemetry.spans import Kind, Name, Span, spans_of
from router_extproc.telemetry.story import Done, Story
from tests.support.play import ANSWER, AT, chat_body, chat_headers, pieces, response_headers
from tests.support.stories import ANALYSIS_SECONDS, Scene

ASKED: tuple[Message, ...] = (chat_headers(), chat_body())
WHOLE: tuple[Message, ...] = (*ASKED, response_headers(), *pieces(ANSWER, [10]))


def by_name(story: Story) -> dict[str, list[Span]]:
    found: dict[str, list[Span]] = {}
    for span in spans_of(story):
        found.setdefault(span.name, []).append(span)
    return found


async def test_the_request_s_span_holds_all_others() -> None:
    story = await Scene().told(*WHOLE)
    request, *others = spans_of(story)
    assert (request.name, request.kind, request.parent) == (Name.REQUEST, Kind.SERVER, "")
    assert (request.start, request.end) == (AT, story.ended)
    ids = [span.span_id for span in (request, *others)]
    assert len(set(ids)) == len(ids)
    assert {span.parent for span in others} <= set(ids)
    assert all(request.start <= span.start <= span.end <= request.end for span in others)


async def test_every_step_of_a_miss_has_its_span() -> None:
    scene = Scene()
    found = by_name(await scene.told(*WHOLE))
    assert set(found) == {
        Name.REQUEST,
        Name.LOOKUP,
        Name.WAIT,
        Name.CLASSIFICATION,
        Name.QUEUE,
        Name.TOKENISE,
        Name.RUN,
        Name.GUARDS,
        Name.DECISION,
        Name.UPSTREAM,
        Name.HAND_OVER,
    }
    assert [span.attributes["cache.tier"] for span in found[Name.LOOKUP]] == ["exact", "semantic"]
    [handed] = found[Name.HAND_OVER]
    assert handed.attributes["cache.handed_to"] == "writes"
    assert handed.attributes["cache.key"] == next(ident for _, ident in scene.store.entries)


async def test_an_analysis_s_steps_are_laid_end_to_end() -> None:
    found = by_name(await Scene().told(*WHOLE))
    [analysis] = found[Name.CLASSIFICATION]
    steps = [found[name][0] for name in (Name.QUEUE, Name.TOKENISE, Name.RUN, Name.GUARDS)]
    assert [span.parent for span in steps] == [analysis.span_id] * 4
    assert [span.start for span in steps] == pytest.approx([AT + 1 + at for at in (0, 0.001, 0.003, 0.008)])
    assert steps[-1].end <= analysis.end == AT + 1 + ANALYSIS_SECONDS


async def test_the_model_s_span_is_the_one_that_it_was_told_and_ends_with_the_answer() -> None:
    story = await Scene().told(*WHOLE)
    [upstream] = by_name(story)[Name.UPSTREAM]
    assert (upstream.span_id, upstream.kind) == (story.opened.upstream.span_id, Kind.CLIENT)
    assert upstream.attributes["gen_ai.response.model"] == "large"
    assert upstream.attributes["http.response.status_code"] == 200
    assert upstream.events[0][0] == "response.headers"
    assert upstream.end == pytest.approx(AT + 4 + ANALYSIS_SECONDS)
    assert upstream.error == ""


async def test_a_hit_has_the_entry_and_no_model() -> None:
    scene = Scene()
    await scene.told(*WHOLE)
    found = by_name(await scene.told(*ASKED, ident="x2"))
    assert Name.UPSTREAM not in found
    assert Name.CLASSIFICATION not in found
    attributes = found[Name.REQUEST][0].attributes
    assert attributes["cache.hit"] is True
    assert attributes["cache.kind"] == "exact"
    assert attributes["cache.key"] in {ident for _, ident in scene.store.entries}


async def test_what_failed_is_an_error_on_its_span_and_not_on_the_request() -> None:
    story = await Scene(trouble=PortError(Failure.TIMEOUT)).told(*WHOLE)
    found = by_name(story)
    assert found[Name.CLASSIFICATION][0].error == "timeout"
    assert Name.RUN not in found
    assert found[Name.REQUEST][0].error == ""


async def test_a_model_s_error_is_the_request_s_and_a_cut_off_one_is_cancelled() -> None:
    failed = by_name(await Scene().told(*ASKED, response_headers("503")))
    assert failed[Name.UPSTREAM][0].error == failed[Name.REQUEST][0].error == "503"
    left = by_name(await Scene().told(*ASKED))
    assert left[Name.UPSTREAM][0].error == left[Name.REQUEST][0].error == "cancelled"
    cut = by_name(await Scene().told(*ASKED, response_headers(), *pieces(ANSWER, ends=False)))
    assert cut[Name.UPSTREAM][0].error == "cancelled"


async def test_a_clock_that_is_set_back_turns_no_span_around() -> None:
    story = await Scene().told(*WHOLE)
    story.done = [replace(done, ended=done.began - 5, concluded=done.began - 7) for done in story.done]
    story.done.append(Done(Analyse, "done", AT - 9, AT + 900, AT + 901))
    assert all(AT <= span.start <= span.end <= story.ended for span in spans_of(story))

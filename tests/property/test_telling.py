"""I15 whatever happens to a request, its story is told, as one trace, and nothing that was said is in it."""

import asyncio
import json
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from router_extproc.base.completion import Completion, Usage
from router_extproc.base.refusals import Failure
from router_extproc.exchange.events import Message
from router_extproc.exchange.tracing import Tracing, debug_digest
from router_extproc.llm.render import render_json, render_sse
from router_extproc.ports import PortError
from router_extproc.telemetry.record import as_json, record_of, trace_of
from router_extproc.telemetry.spans import spans_of
from router_extproc.telemetry.story import Story
from tests.support.play import PLAN, chat_body, chat_headers, pieces, question, response_headers
from tests.support.stories import Scene

SECRET = "planted-Kq8v"
SAID = Completion("large", f"four {SECRET}", "stop", (), Usage(9, 5))
ON = replace(PLAN, tracing=Tracing(sends=True, debug=debug_digest(SECRET)))

fields = st.dictionaries(
    st.sampled_from(["traceparent", "x-router-debug", "x-session-id", "authorization", "user-agent"]),
    st.sampled_from([SECRET, f"00-{'a' * 32}-{'b' * 16}-01", f"Bearer {SECRET}"]),
)
bodies = st.one_of(
    st.just(question(f"Add 2 and 2, {SECRET}.")),
    st.just(question(f"Add 2 and 2, {SECRET}.", stream=True, user=SECRET)),
    st.just(question("Hello", model=SECRET)),
    st.sampled_from(["{", f'"{SECRET}"', json.dumps({"model": "auto", "messages": SECRET})]),
)
answers = st.sampled_from(
    [render_json(SAID, "c1", 1), render_sse(SAID, "c1", 1, include_usage=True), SECRET.encode(), b""]
)
statuses = st.sampled_from(["200", "404", "503", SECRET])
kinds = st.sampled_from(["application/json", "text/event-stream", SECRET])
troubles = st.one_of(st.none(), st.sampled_from([PortError(each) for each in Failure]))


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """As far as they get."""
    answer = pieces(draw(answers), draw(st.lists(st.integers(0, 200), max_size=3)), ends=draw(st.booleans()))
    whole: list[Message] = [
        chat_headers(*draw(fields).items()),
        chat_body(draw(bodies)),
        response_headers(draw(statuses), draw(kinds)),
        *answer,
    ]
    return whole[: draw(st.integers(1, len(whole)))]


@settings(max_examples=150, deadline=None)
@given(st.lists(conversations(), min_size=1, max_size=3), troubles, st.booleans(), st.booleans())
def test_every_story_is_one_trace_without_a_word_of_anybody_s(
    rounds: list[list[Message]], trouble: PortError | None, room: bool, traced: bool
) -> None:
    async def play() -> list[Story]:
        scene = Scene(ON if traced else PLAN, trouble=trouble, room=room)
        return [await scene.told(*each, ident=f"x{number}") for number, each in enumerate(rounds)]

    for story in asyncio.run(play()):
        request, *others = spans_of(story)
        ids = [span.span_id for span in (request, *others)]
        assert len(set(ids)) == len(ids)
        assert {span.parent for span in others} <= set(ids)
        assert all(request.start <= span.start <= span.end <= request.end for span in others)
        said = json.dumps([as_json(record_of(story)), trace_of(story)])
        assert SECRET not in said
        assert SECRET not in repr(spans_of(story))

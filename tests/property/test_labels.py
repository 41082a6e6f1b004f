"""No client, and no upstream, can mint a series: the real exchange is driven with hostile words in every
place that they choose, and every label still says what an enum or the configuration has."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from router_extproc.base.headers import Headers
from router_extproc.base.refusals import Failure
from router_extproc.caching.entry import Candidate
from router_extproc.exchange.effects import Effect, LookupExact, LookupSimilar, Note
from router_extproc.exchange.events import (
    Event,
    PeerClosed,
    RequestHeaders,
    ResponseHeaders,
    ResponseTrailers,
)
from router_extproc.routing.analysis import Analysis, Timings
from router_extproc.routing.uncertainty import ThinkingPolicy
from router_extproc.screening.policy import GuardPolicy, ModelPii, PiiPolicy, ScreeningPolicy, Strictness
from router_extproc.screening.reading import Screening
from router_extproc.telemetry.metrics import Metrics
from router_extproc.telemetry.spending import Price
from router_extproc.telemetry.table import Configured
from tests.support.play import PLAN, Ports, analysis, chat_body, entry, pieces, play
from tests.support.series import samples, strangers

ON = Strictness(True, 0.5)
FAMILY = "qwen3"
PLANNED = replace(
    PLAN,
    learns=True,
    routing=replace(
        PLAN.routing,
        models={
            name: replace(model, family=model.family and replace(model.family, name=FAMILY))
            for name, model in PLAN.routing.models.items()
        },
        thinking=ThinkingPolicy({"math": True, "history": False}),
    ),
    screening=ScreeningPolicy(
        guard=GuardPolicy(ON), pii=PiiPolicy(ON, models={"large": ModelPii(allow_by_default=False)})
    ),
)
CONFIGURED: Mapping[Configured, Sequence[str]] = {
    Configured.MODELS: tuple(PLANNED.routing.models),
    Configured.CATEGORIES: ("math", "history"),
    Configured.DECISIONS: (),
    Configured.HEADS: ("domain",),
    Configured.FAMILIES: (FAMILY,),
    Configured.PARAMETERS: ("enable_thinking",),
    Configured.CURRENCIES: ("USD",),
    Configured.GENERATION: (PLANNED.generation,),
    Configured.WORKER: (),
}
MARK = "hostile"
"""In every word below, so that it is found wherever it went."""

words = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12).map(
    lambda text: MARK + text
)
fields = st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=12).map(
    lambda text: MARK + text
)
"""As the codec gives them."""
ASKED = f"{MARK}: add 2 and 2."
"""What there is an entry for."""
KNOWN = ("auto", "MoM", *PLANNED.routing.models)


SENT = (
    "x-session-id",
    "x-user-id",
    "x-request-id",
    "x-vsr-cache-control",
    "x-vsr-selected-model",
    "x-vsr-selected-category",
    "user-agent",
    "traceparent",
)


def mostly(usual: str, other: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Or few requests would get far enough to be counted as anything but an error."""
    return st.integers(0, 9).flatmap(lambda drawn: st.just(usual) if drawn else other)


def _requests() -> st.SearchStrategy[list[Event]]:
    usual = {
        ":method": mostly("POST", fields),
        ":path": mostly("/v1/chat/completions", fields.map(lambda word: f"/{word}")),
        "content-type": mostly("application/json", fields),
        "content-encoding": mostly("identity", fields),
        "authorization": fields,
    }
    headers = st.fixed_dictionaries(usual, optional=dict.fromkeys(SENT, fields))
    message = st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "tool"]), "content": words})
    body = st.fixed_dictionaries(
        {
            "model": st.one_of(st.sampled_from(KNOWN), words),
            "messages": st.lists(message, min_size=1, max_size=3),
        },
        optional={
            "user": words,
            "stream": st.booleans(),
            "temperature": st.floats(0, 2),
            "reasoning_effort": words,
            "chat_template_kwargs": st.dictionaries(words, st.booleans(), max_size=2),
            "metadata": st.dictionaries(words, words, max_size=2),
            "tools": st.just([{"type": "function", "function": {"name": MARK}}]),
            "n": st.integers(-1, 3),
        },
    )
    plain = st.sampled_from(KNOWN).map(
        lambda model: {"model": model, "messages": [{"role": "user", "content": ASKED}], "user": MARK}
    )
    text = st.one_of(plain.map(json.dumps), plain.map(json.dumps), body.map(json.dumps), words)
    return st.tuples(headers, text).map(
        lambda sent: [RequestHeaders(Headers.of(sent[0].items()), end_of_stream=False), chat_body(sent[1])]
    )


def _responses() -> st.SearchStrategy[list[Event]]:
    status = st.one_of(st.sampled_from(["200", "200", "404", "408", "429", "500", "504", "999"]), fields)
    content = st.one_of(st.sampled_from(["application/json", "text/event-stream"]), fields)
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "completion_tokens_details": {MARK: 1}}
    choice = {"index": 0, "message": {"role": "assistant", "content": MARK}, "finish_reason": MARK}
    answer = json.dumps({"model": MARK, "choices": [choice], "usage": usage, MARK: 1}).encode()
    bodies = st.sampled_from([answer, answer[:-3], b"data: " + answer + b"\n\ndata: [DONE]\n\n", b""])
    ends = st.sampled_from([(), (PeerClosed(),), (ResponseTrailers(),)])

    def events(said: tuple[str, str, bytes, Any]) -> list[Event]:
        headers = {":status": said[0], "content-type": said[1], "x-model": MARK}
        first = ResponseHeaders(Headers.of(headers.items()), end_of_stream=False)
        return [first, *pieces(said[2], [3], ends=not said[3]), *said[3]]

    return st.tuples(status, content, bodies, ends).map(events)


def _analyses() -> st.SearchStrategy[Analysis | Failure]:
    types = st.dictionaries(
        st.one_of(st.sampled_from(["US_SSN", "PERSON"]), words), st.floats(0, 1), max_size=3
    )
    screening = st.builds(Screening, attack=st.one_of(st.none(), st.floats(0, 0.9)), types=types)
    shares = st.sampled_from([{"math": 0.9, "history": 0.1}, {"math": 0.4, "history": 0.35}, {}])
    good = st.tuples(screening, shares).map(
        lambda seen: replace(
            analysis(), heads={"domain": seen[1]}, timings=Timings(1.0, 1.0, 1.0, 1.0), screening=seen[0]
        )
    )
    return st.one_of(good, good, st.sampled_from(Failure))


def _ports() -> st.SearchStrategy[Ports]:
    """A store that finds entries that a client of another configuration's router left."""
    similarity = st.one_of(
        st.none(), st.none(), st.floats(0.85, 1), st.floats(0, 1), st.sampled_from(Failure)
    )

    def found(effect: LookupExact | LookupSimilar, near: float | Failure | None) -> Any:
        if near is None or isinstance(near, Failure):
            return near or ()
        left = entry(effect.partition, ASKED, model=MARK, category=MARK, id=MARK)
        return [Candidate(left, near)]

    return st.tuples(_analyses(), similarity, similarity).map(
        lambda drawn: Ports(
            analyse=lambda _: drawn[0],
            exact=lambda effect: found(effect, drawn[1]),
            similar=lambda effect: found(effect, drawn[2]),
        )
    )


def note_all(metrics: Metrics, effects: Sequence[Effect]) -> None:
    for effect in effects:
        if isinstance(effect, Note):
            metrics.note(effect)


@settings(max_examples=80, deadline=None)
@given(request=_requests(), response=_responses(), ports=_ports())
def test_no_series_says_what_a_client_or_an_upstream_chose(
    request: list[Event], response: list[Event], ports: Ports
) -> None:
    metrics = Metrics()
    metrics.configure(
        1, PLANNED.generation, {name: Price("USD", 1.0, 2.0) for name in PLANNED.routing.models}
    )
    note_all(metrics, play([*request, *response], ports, PLANNED).effects)
    assert strangers(metrics.registry, CONFIGURED) == []
    assert MARK not in metrics.exposition().decode()


def test_every_kind_of_label_has_a_bound_here() -> None:
    assert set(CONFIGURED) == set(Configured)


def test_a_name_that_is_minted_is_found() -> None:
    """Or the property would prove nothing."""
    metrics = Metrics()
    metrics.head_failed(MARK)
    assert strangers(metrics.registry, CONFIGURED) == [("router_head_failures_total", "head", MARK)]


def test_many_users_make_no_more_series_than_one() -> None:
    def after(users: int) -> int:
        metrics = Metrics()
        for user in range(users):
            headers = {
                ":method": "POST",
                ":path": f"/v1/chat/completions?of={user}",
                "content-type": "application/json",
                "authorization": f"Bearer {user}",
                "x-session-id": f"s{user}",
            }
            asked = {
                "model": "auto",
                "user": f"u{user}",
                "messages": [{"role": "user", "content": f"Q {user}"}],
            }
            first = RequestHeaders(Headers.of(headers.items()), end_of_stream=False)
            note_all(metrics, play([first, chat_body(json.dumps(asked))], plan=PLANNED).effects)
        return sum(1 for _ in samples(metrics.registry))

    assert after(40) == after(1)

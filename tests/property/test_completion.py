"""Completions survive rendering and folding, byte by byte, in both forms and under any split."""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from router_extproc.base.completion import Completion, Folded, Unfoldable, Usage
from router_extproc.base.refusals import Uncached
from router_extproc.llm.fold import StreamFold, fold_json
from router_extproc.llm.render import render_json, render_sse

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
SPACED = st.text(st.sampled_from(" \t\r\n\u2028\u00a0aé😀"), min_size=1, max_size=20)
CONTENT = st.builds(lambda text, times: text * times, TEXT | SPACED, st.sampled_from([1, 7, 40]))
"""Repeated, because drawn text is mostly shorter than one rendered piece."""

KNOWN = {"role", "content", "refusal", "tool_calls", "function_call"}
EXTRAS = st.lists(
    st.tuples(TEXT.filter(lambda name: name not in KNOWN), CONTENT),
    max_size=3,
    unique_by=lambda extra: extra[0],
)
NOTHING: st.SearchStrategy[Any] = st.sampled_from([None, "", [], {}, False])
SCALARS = st.booleans() | st.integers(-(2**63), 2**63) | st.floats(-1e300, 1e300) | TEXT
SOMETHING: st.SearchStrategy[Any] = (
    SCALARS | st.lists(SCALARS, min_size=1) | st.dictionaries(TEXT, SCALARS, min_size=1)
).filter(lambda value: value is not False)
LISTED = {
    "answer": {"choices", "model", "usage", "error", "id", "created", "object", "prompt_logprobs"}
    | {"system_fingerprint", "service_tier", "obfuscation"},
    "choice": {"index", "message", "delta", "finish_reason", "logprobs"},
    "usage": {"prompt_tokens", "completion_tokens", "total_tokens"}
    | {"prompt_tokens_details", "completion_tokens_details"},
}
NAMES = TEXT | st.sampled_from(["citations", "stop_reason", "token_ids", "kv_transfer_params"])
COUNT = st.integers(0, 2**53 - 1)
COMPLETIONS = st.builds(
    Completion,
    model=TEXT,
    content=CONTENT,
    finish_reason=st.just("stop"),
    extras=EXTRAS.map(tuple),
    usage=st.none() | st.builds(Usage, COUNT, COUNT),
)


def fold(*pieces: bytes) -> Folded:
    stream = StreamFold()
    for piece in pieces:
        stream.feed(piece)
    return stream.finish()


@settings(deadline=None)
@given(COMPLETIONS, TEXT, COUNT)
def test_json_folds_back_to_the_completion(completion: Completion, ident: str, created: int) -> None:
    assert fold_json(render_json(completion, ident, created)) == completion


@settings(deadline=None)
@given(COMPLETIONS, TEXT, COUNT)
def test_a_stream_folds_back_to_the_completion(completion: Completion, ident: str, created: int) -> None:
    assert fold(render_sse(completion, ident, created, include_usage=True)) == completion


@settings(deadline=None)
@given(COMPLETIONS)
def test_without_usage_a_stream_loses_the_usage_only(completion: Completion) -> None:
    bare = Completion(completion.model, completion.content, "stop", completion.extras)
    assert fold(render_sse(completion, "x", 0, include_usage=False)) == bare


@settings(deadline=None)
@given(st.data(), COMPLETIONS, st.sampled_from([b"\n", b"\r", b"\r\n"]))
def test_no_split_and_no_kind_of_line_end_changes_the_fold(
    data: st.DataObject, completion: Completion, end: bytes
) -> None:
    stream = render_sse(completion, "x", 0, include_usage=True).replace(b"\n", end)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert fold(*pieces) == completion


@settings(deadline=None, max_examples=30)
@given(COMPLETIONS)
def test_single_bytes_give_the_same_fold(completion: Completion) -> None:
    stream = render_sse(completion, "x", 0, include_usage=True)
    assert fold(*(bytes([byte]) for byte in stream)) == completion


@settings(deadline=None)
@given(st.data(), COMPLETIONS)
def test_a_stream_cut_anywhere_is_incomplete(data: st.DataObject, completion: Completion) -> None:
    stream = render_sse(completion, "x", 0, include_usage=True)
    cut = data.draw(st.integers(0, len(stream) - 1))
    assert fold(stream[:cut]) == Unfoldable(Uncached.INCOMPLETE)


@settings(deadline=None)
@given(COMPLETIONS)
def test_the_deltas_of_a_stream_join_to_the_exact_content(completion: Completion) -> None:
    stream = render_sse(completion, "x", 0, include_usage=True).decode()
    bodies = [json.loads(line[6:]) for line in stream.split("\n") if line.startswith("data: {")]
    deltas = [choice["delta"] for body in bodies for choice in body["choices"]]
    assert "".join(delta.get("content", "") for delta in deltas) == completion.content
    for name, text in completion.extras:
        assert "".join(delta.get(name, "") for delta in deltas) == text


def places(body: dict[str, Any], place: str) -> Iterator[dict[str, Any]]:
    """The objects of a body, or of a chunk, that are in that place."""
    if place == "answer":
        yield body
    elif place == "choice":
        yield from body["choices"]
    elif body.get("usage") is not None:
        yield body["usage"]


def added(completion: Completion, place: str, fields: dict[str, Any], whole: bool, which: int) -> Folded:
    """The fold of the rendered completion after the fields were added to one such object of it."""
    if whole:
        bodies = [json.loads(render_json(completion, "x", 0))]
    else:
        lines = render_sse(completion, "x", 0, include_usage=True).decode().split("\n")
        bodies = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    parts = [part for body in bodies for part in places(body, place)]
    parts[which % len(parts)].update(fields)
    if whole:
        return fold_json(json.dumps(bodies[0]).encode())
    events = (b"data: " + json.dumps(body).encode() + b"\n\n" for body in bodies)
    return fold(*events, b"data: [DONE]\n\n")


@settings(deadline=None)
@given(st.data(), COMPLETIONS.filter(lambda completion: completion.usage is not None), st.booleans())
def test_only_an_unlisted_field_that_says_something_changes_the_fold(
    data: st.DataObject, completion: Completion, whole: bool
) -> None:
    place = data.draw(st.sampled_from(sorted(LISTED)))
    names = NAMES.filter(lambda name: name not in LISTED[place])
    fields = data.draw(st.dictionaries(names, NOTHING, max_size=3))
    which = data.draw(st.integers(0, 100))
    assert added(completion, place, fields, whole, which) == completion
    fields[data.draw(names)] = data.draw(SOMETHING)
    assert added(completion, place, fields, whole, which) == Unfoldable(Uncached.UNKNOWN_FIELD)


@settings(deadline=None)
@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_bytes_make_the_fold_raise(data: bytes) -> None:
    assert isinstance(fold_json(data), Unfoldable)
    assert isinstance(fold(data), Unfoldable)
    assert isinstance(fold(b"data: ", data, b"\n\ndata: [DONE]\n\n"), Unfoldable)

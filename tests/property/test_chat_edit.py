"""Edits of a request: what is asked for changes, and not one other byte.

Bodies are written by hand here, with random white space, escapes, number forms and repeated names, so
that the place of every value is known without asking the code under test.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from router_extproc.llm.chat import ChatError, parse_chat

SPACE = st.text(st.sampled_from(" \t\r\n"), max_size=3)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.sampled_from(
    ["0", "-0", "1", "1.0", "1e5", "1E+2", "0.10", "-7.25e-3", "123456789012345678901234567890"]
)


@st.composite
def spelt(draw: st.DrawFn, text: str) -> str:
    """`text` as a JSON string, each character as itself or as an escape where JSON allows both."""
    out = []
    for character in text:
        units = character.encode("utf-16-be")
        escaped = "".join(f"\\u{units[i]:02x}{units[i + 1]:02X}" for i in range(0, len(units), 2))
        plain = character not in '"\\' and ord(character) >= 0x20
        out.append(character if plain and draw(st.booleans()) else escaped)
    return '"' + "".join(out) + '"'


@st.composite
def spaced(draw: st.DrawFn, token: str) -> str:
    return draw(SPACE) + token + draw(SPACE)


@st.composite
def objects(draw: st.DrawFn, values: st.SearchStrategy[str], names: st.SearchStrategy[str]) -> str:
    members = draw(st.lists(st.tuples(names, values), max_size=4))
    inner = ",".join(draw(spaced(draw(spelt(name)))) + ":" + draw(spaced(value)) for name, value in members)
    return "{" + (inner or draw(SPACE)) + "}"


@st.composite
def arrays(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    items = draw(st.lists(values, max_size=4))
    return "[" + (",".join(draw(spaced(item)) for item in items) or draw(SPACE)) + "]"


NAMES = st.sampled_from(["model", "think", "messages", "a", "b"]) | TEXT
LEAVES = st.one_of(st.sampled_from(["null", "true", "false"]), NUMBERS, TEXT.flatmap(spelt))
VALUES = st.recursive(LEAVES, lambda inner: objects(inner, NAMES) | arrays(inner), max_leaves=8)


@dataclass(frozen=True)
class Body:
    """`before`, the spelling of the effective model, and `after` make the request's text."""

    before: str
    model: str
    after: str

    @property
    def raw(self) -> bytes:
        return (self.before + self.model + self.after).encode()


@st.composite
def bodies(draw: st.DrawFn) -> Body:
    """A valid request whose names may repeat; `fields` among them are those the defaults are about."""
    names = st.sampled_from(["kw", "effort", "seed", "model", "messages", "stream_options", "x"]) | TEXT
    members = draw(st.lists(st.tuples(names.filter(lambda name: name != "stream"), VALUES), max_size=6))
    role = draw(spelt("role")) + ":" + draw(spelt("user"))
    messages = f"[{{{role},{draw(spelt('content'))}:{draw(VALUES)}}}]"
    members.insert(draw(st.integers(0, len(members))), ("model", draw(spelt("first"))))
    at = max(i for i, (name, _) in enumerate(members) if name == "model")
    members[at] = ("model", draw(TEXT.filter(bool).flatmap(spelt)))
    members.append(("messages", messages))
    written = [
        (draw(spaced(draw(spelt(name)))) + ":" + draw(SPACE), value + draw(SPACE)) for name, value in members
    ]
    name, model = written[at][0], members[at][1]
    before = draw(SPACE) + "{" + "".join(f"{key}{value}," for key, value in written[:at]) + name
    after = written[at][1][len(model) :] + "".join(f",{key}{value}" for key, value in written[at + 1 :])
    return Body(before, model, after + "}" + draw(SPACE))


DEFAULTS = st.lists(
    st.tuples(
        st.sampled_from(["kw", "effort", "x", "stream_options", "model", "messages"]),
        st.none() | st.sampled_from(["think", "a", "include_usage"]),
        st.one_of(st.booleans(), st.integers(), TEXT, st.dictionaries(TEXT, st.booleans(), max_size=2)),
    ),
    max_size=4,
)


@settings(deadline=None, max_examples=60)
@given(bodies())
def test_the_request_is_what_a_json_library_reads(body: Body) -> None:
    want = json.loads(body.raw)
    got = parse_chat(body.raw)
    assert got.model == want["model"]
    assert json.loads(got.turns[0].canonical) == want["messages"][0]
    read = {"model", "messages", "stream", "stream_options"}
    assert {name: json.loads(value) for name, value in got.params.items() if name not in read} == {
        name: value for name, value in want.items() if name not in read
    }
    assert list(got.params) == sorted(got.params)


@settings(deadline=None, max_examples=60)
@given(bodies(), TEXT.filter(bool))
def test_another_model_changes_the_models_bytes_only(body: Body, model: str) -> None:
    edited = parse_chat(body.raw).edited(model=model)
    before, after = body.before.encode(), body.after.encode()
    assert edited.startswith(before)
    assert edited.endswith(after)
    assert json.loads(edited[len(before) : len(edited) - len(after)]) == model
    assert parse_chat(edited).model == model


@settings(deadline=None, max_examples=60)
@given(bodies(), TEXT.filter(bool), st.lists(TEXT.filter(bool), max_size=2))
def test_a_model_set_back_gives_the_same_request(body: Body, model: str, others: list[str]) -> None:
    request = parse_chat(body.raw)
    edited = request
    for name in (*others, model, request.model):
        edited = parse_chat(edited.edited(model=name))
    assert (edited.model, edited.turns, edited.params) == (request.model, request.turns, request.params)


def expected(sent: dict[str, Any], defaults: list[tuple[str, str | None, Any]]) -> dict[str, Any]:
    """What `defaults` mean, on values instead of bytes."""
    want = {name: dict(value) if isinstance(value, dict) else value for name, value in sent.items()}
    for name, key, value in defaults:
        if key is None:
            want.setdefault(name, value)
        else:
            inner = want.setdefault(name, {})
            if isinstance(inner, dict):
                want[name] = {key: value} | inner
    return want


@settings(deadline=None, max_examples=60)
@given(bodies(), DEFAULTS)
def test_defaults_fill_gaps_and_change_nothing_a_client_set(
    body: Body, defaults: list[tuple[str, str | None, Any]]
) -> None:
    edited = parse_chat(body.raw).edited(defaults=defaults)
    assert json.loads(edited) == expected(json.loads(body.raw), defaults)


@settings(deadline=None, max_examples=60)
@given(bodies(), DEFAULTS, TEXT.filter(bool))
def test_defaults_only_ever_insert_bytes(
    body: Body, defaults: list[tuple[str, str | None, Any]], model: str
) -> None:
    """The body without defaults is a subsequence of the body with them."""
    request = parse_chat(body.raw)
    edited = request.edited(model=model, defaults=defaults)
    named = request.edited(model=model)
    rest = iter(edited)
    assert all(byte in rest for byte in named)


@settings(deadline=None, max_examples=60)
@given(bodies(), DEFAULTS, TEXT.filter(bool))
def test_the_same_edit_again_changes_nothing(
    body: Body, defaults: list[tuple[str, str | None, Any]], model: str
) -> None:
    once = parse_chat(body.raw).edited(model=model, defaults=defaults)
    assert parse_chat(once).edited(model=model, defaults=defaults) == once


@settings(deadline=None, max_examples=60)
@given(st.data(), bodies())
def test_damaged_bodies_are_read_or_refused(data: st.DataObject, body: Body) -> None:
    raw = bytearray(body.raw)
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        got = parse_chat(bytes(raw))
    except ChatError:
        return
    assume(got.raw != body.raw)
    assert parse_chat(got.edited(model="m")).model == "m"


def test_the_generated_bodies_are_varied() -> None:
    """The properties above would say little about bodies without escapes, spaces and repeated names."""
    seen: set[str] = set()

    @settings(deadline=None, max_examples=60, database=None, derandomize=True)
    @given(bodies())
    def look(body: Body) -> None:
        text = body.before + body.model + body.after
        seen.update(name for name, pattern in PATTERNS.items() if re.search(pattern, text))
        pairs: list[tuple[str, Any]] = json.loads(text, object_pairs_hook=lambda pairs: pairs)
        if len({name for name, _ in pairs}) < len(pairs):
            seen.add("repeated")

    look()
    assert seen == {*PATTERNS, "repeated"}


PATTERNS = {"space": r"\s:", "escape": r"\\u", "exponent": r"\de\d", "beyond ASCII": r"[^\x00-\x7f]"}

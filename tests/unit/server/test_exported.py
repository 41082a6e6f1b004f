"""An entry as a line and back: what is refused, and that no message quotes it."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_extproc.base.completion import Completion, Usage
from router_extproc.server.exported import LineError, Terms, entry_of, line_of
from tests.support.entries import DIMENSION, NOW, a_vector, an_entry, new_partition

TERMS = Terms("encoder", DIMENSION, 1e6)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(
    text=TEXT,
    content=TEXT,
    extras=st.dictionaries(TEXT.filter(lambda name: name not in ("content", "role")), TEXT, max_size=3),
    seed=st.integers(0, 2**32 - 1),
    times=st.tuples(st.floats(0, NOW), st.floats(NOW + 1, NOW + 1e6)),
    usage=st.none() | st.tuples(st.integers(0, 2**53), st.integers(0, 2**53)),
)
def test_a_line_is_the_entry_exactly(
    text: str,
    content: str,
    extras: dict[str, str],
    seed: int,
    times: tuple[float, float],
    usage: tuple[int, int] | None,
) -> None:
    completion = Completion(
        "m", content, "stop", tuple(extras.items()), None if usage is None else Usage(*usage)
    )
    entry = an_entry(
        new_partition(),
        text,
        vector=a_vector(seed),
        completion=completion,
        created_at=times[0],
        expires_at=times[1],
    )
    line = line_of(entry, "encoder")
    assert line.count(b"\n") == 1
    again = entry_of(line, TERMS, NOW)
    assert replace(again, vector=entry.vector) == entry
    assert again.vector.dtype == np.float32
    assert again.vector.tobytes() == entry.vector.tobytes()


def test_an_entry_without_a_utf_8_form_is_not_written() -> None:
    with pytest.raises(LineError, match="no UTF-8 form"):
        line_of(an_entry(new_partition(), "\ud800"), "encoder")


def changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(line_of(an_entry(new_partition()), "encoder")) | changes).encode()


def test_a_clock_that_is_a_little_ahead_is_forgiven() -> None:
    entry = entry_of(changed(created_at=NOW + 59.0), TERMS, NOW)
    assert entry.created_at == NOW
    with pytest.raises(LineError, match="future"):
        entry_of(changed(created_at=NOW + 61.0), TERMS, NOW)


def test_an_entry_lives_no_longer_than_those_made_here() -> None:
    assert entry_of(changed(expires_at=NOW + 1e9), TERMS, NOW).expires_at == NOW + 1e6
    assert entry_of(changed(expires_at=NOW + 5.0), TERMS, NOW).expires_at == NOW + 5.0


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "b" * 32},
        {"text": 5},
        {"text": "another secret"},
        {"model": None},
        {"completion": {"content": "secret"}},
        {"completion": None},
        {"reasoning": "secret"},
        {"created_at": "secret"},
        {"encoder": "secret"},
        {"vector": "secret"},
        {"tenant": ["secret"]},
    ],
)
def test_no_refusal_quotes_a_value(changes: dict[str, Any]) -> None:
    with pytest.raises(LineError) as raised:
        entry_of(changed(**changes), TERMS, NOW)
    assert "secret" not in str(raised.value)
    assert "France" not in str(raised.value)


def test_a_long_key_is_not_repeated_at_length() -> None:
    with pytest.raises(LineError) as raised:
        entry_of(changed(**{"x" * 100_000: 1}), TERMS, NOW)
    assert len(str(raised.value)) < 300

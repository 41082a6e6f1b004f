"""The isolation key: everything that shapes an answer is in it, and nothing else."""

import pytest

from router_extproc.caching.identity import Identity, identify

BASE = {
    "tenant": "t1",
    "model": "auto",
    "query": "",
    "context": [b'{"content":"Be kind.","role":"system"}'],
    "frame": b'{"role":"user"}',
    "params": {"temperature": b"0.7"},
    "text": "What is love?",
    "encoder": "e1",
    "generation": "g1",
}


def identity(**changes: object) -> Identity:
    return identify(**{**BASE, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant": "t2"},
        {"model": "qwen3-8b"},
        {"query": "api-version=2"},
        {"context": []},
        {"context": [b'{"content":"Be rude.","role":"system"}']},
        {"context": [b'{"content":"Be kind.","role":"system"}', b"{}"]},
        {"frame": b'{"name":"Ann","role":"user"}'},
        {"params": {}},
        {"params": {"temperature": b"0.8"}},
        {"params": {"temperature": b"0.7", "tools": b"[]"}},
        {"encoder": "e2"},
        {"generation": "g2"},
    ],
)
def test_everything_but_the_text_is_in_the_partition(changes: dict[str, object]) -> None:
    assert identity(**changes).partition != identity().partition


def test_the_text_names_the_entry_and_not_the_partition() -> None:
    one, other = identity(), identity(text="What is hate?")
    assert one.partition == other.partition
    assert one.entry_id != other.entry_id


def test_the_order_of_parameters_does_not_matter() -> None:
    one = identity(params={"a": b"1", "b": b"2"})
    assert one == identity(params={"b": b"2", "a": b"1"})


def test_parts_cannot_slide_into_each_other() -> None:
    assert identity(context=[b"ab", b"c"]).partition != identity(context=[b"a", b"bc"]).partition
    moved = identity(context=[b"x"], params={})
    assert moved.partition != identity(context=[], params={"x": b""}).partition


def test_the_tenant_stands_beside_the_partition_for_operators() -> None:
    assert (identity().tenant, identity(tenant="t2").tenant) == ("t1", "t2")


def test_the_text_is_not_shown() -> None:
    assert "love" not in repr(identity())

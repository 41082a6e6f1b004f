"""What every store promises, whichever adapter keeps the entries: see `ports.Store`."""

import dataclasses
from collections.abc import Awaitable, Sequence
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router_extproc.base.completion import Completion, Usage
from router_extproc.base.refusals import Failure
from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.ports import PortError, Store
from tests.support.backends import Backend
from tests.support.entries import DIMENSION, NOW, SOON, a_vector, an_entry, between, new_partition

T = TypeVar("T")

AWKWARD_TEXTS = [
    "  two leading spaces, a tab\t, a newline\n, a carriage return\r\n and a trailing space ",
    "```python\nif x:\n    return 'indented'\n```",
    'quotes " and \\ backslashes \\" and {braces}',
    "\x00 a null, \x1b[31m an escape, \u2028 a line separator, \ufeff a mark",
    "العربية 中文 한국어 ελληνικά e\u0301 👩‍👩‍👧 \U0001d518",
    "",
]

few_examples = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
"""Each example talks to a real back-end; the partitions it uses are its own."""


def ids(candidates: Sequence[Candidate]) -> list[str]:
    return [each.entry.id for each in candidates]


def assert_same(found: Entry | None, stored: Entry) -> None:
    assert found is not None
    np.testing.assert_array_equal(found.vector, stored.vector)
    assert dataclasses.replace(found, vector=stored.vector) == stored


@pytest.mark.parametrize("text", AWKWARD_TEXTS, ids=range(len(AWKWARD_TEXTS)))
async def test_an_answer_comes_back_exactly_as_it_was_stored(store: Store, text: str) -> None:
    completion = Completion(
        model="m",
        content=text,
        finish_reason="stop",
        extras=(("reasoning_content", text), ("b", "")),
        usage=Usage(3, 4),
    )
    entry = an_entry(new_partition(), f"a question {text}", completion=completion)
    await store.put(entry)
    assert_same(await store.get(entry.partition, entry.id, NOW, SOON), entry)
    [candidate] = await store.nearest(entry.partition, entry.vector, 4, NOW, SOON)
    assert_same(candidate.entry, entry)


@few_examples
@given(content=st.text(), text=st.text(), expires=st.floats(NOW + 0.001, NOW + 1e6))
async def test_any_text_survives(store: Store, content: str, text: str, expires: float) -> None:
    entry = an_entry(new_partition(), text, content=content, expires_at=expires)
    await store.put(entry)
    assert_same(await store.get(entry.partition, entry.id, NOW, SOON), entry)


async def test_an_answer_of_many_multi_byte_characters_survives(store: Store) -> None:
    content = "x" + "語" * 87_000 + "👍" * 20  # 261 kB in UTF-8, cut at no multiple of three
    entry = an_entry(new_partition(), content=content)
    await store.put(entry)
    assert_same(await store.get(entry.partition, entry.id, NOW, SOON), entry)


async def test_an_entry_without_usage_survives(store: Store) -> None:
    entry = an_entry(new_partition(), completion=Completion(model="m", content="c", finish_reason="stop"))
    await store.put(entry)
    assert_same(await store.get(entry.partition, entry.id, NOW, SOON), entry)


async def test_an_empty_partition_has_nothing(store: Store) -> None:
    partition = new_partition()
    assert await store.get(partition, an_entry(partition).id, NOW, SOON) is None
    assert list(await store.nearest(partition, a_vector(1), 4, NOW, SOON)) == []


async def test_nearest_puts_the_most_similar_first_and_keeps_to_the_limit(store: Store) -> None:
    partition, query, other = new_partition(), a_vector(1), a_vector(2)
    cosines = [0.2, 0.95, -0.5, 0.7, 0.9, 0.4]
    entries = [an_entry(partition, f"q{c}", vector=between(query, other, c)) for c in cosines]
    for entry in entries:
        await store.put(entry)
    found = await store.nearest(partition, query, 4, NOW, SOON)
    assert [round(each.similarity, 4) for each in found] == [0.95, 0.9, 0.7, 0.4]
    assert ids(found) == [entries[cosines.index(c)].id for c in (0.95, 0.9, 0.7, 0.4)]
    assert len(await store.nearest(partition, query, 100, NOW, SOON)) == len(cosines)
    assert list(await store.nearest(partition, query, 0, NOW, SOON)) == []


async def test_the_same_vector_has_similarity_one(store: Store) -> None:
    entry = an_entry(new_partition())
    await store.put(entry)
    [candidate] = await store.nearest(entry.partition, entry.vector, 1, NOW, SOON)
    assert candidate.similarity == pytest.approx(1.0, abs=1e-6)
    assert candidate.similarity <= 1.0


async def test_the_same_question_in_two_partitions_is_two_entries(store: Store) -> None:
    ours, theirs = new_partition(), new_partition()
    vector = a_vector(3)
    mine = an_entry(ours, vector=vector, content="for us")
    await store.put(mine)
    await store.put(an_entry(theirs, vector=vector, content="for them"))
    assert_same(await store.get(ours, mine.id, NOW, SOON), mine)
    assert await store.get(theirs, mine.id, NOW, SOON) is None
    [candidate] = await store.nearest(ours, vector, 4, NOW, SOON)
    assert candidate.entry.completion.content == "for us"


placed = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), min_size=1, max_size=8)
"""(partition, vector) of entries: few of each, so that partitions share vectors."""


@few_examples
@given(placed=placed, asked=st.integers(0, 5))
async def test_no_lookup_crosses_a_partition(store: Store, placed: list[tuple[int, int]], asked: int) -> None:
    partitions = [new_partition() for _ in range(3)]
    entries = {
        each.id: each for p, v in placed for each in [an_entry(partitions[p], f"q{v}", vector=a_vector(v))]
    }
    for entry in entries.values():
        await store.put(entry)
    for partition in partitions:
        here = {each.id for each in entries.values() if each.partition == partition}
        assert set(ids(await store.nearest(partition, a_vector(asked), 10, NOW, SOON))) == here
        for entry_id in entries:
            assert (await store.get(partition, entry_id, NOW, SOON) is not None) == (entry_id in here)


async def test_an_entry_is_dead_from_the_instant_it_expires(store: Store) -> None:
    entry = an_entry(new_partition(), expires_at=NOW + 10)
    await store.put(entry)
    just_before = float(np.nextafter(NOW + 10, 0))
    assert await store.get(entry.partition, entry.id, just_before, SOON) is not None
    assert len(await store.nearest(entry.partition, entry.vector, 1, just_before, SOON)) == 1
    for at in (NOW + 10, NOW + 11):
        assert await store.get(entry.partition, entry.id, at, SOON) is None
        assert list(await store.nearest(entry.partition, entry.vector, 1, at, SOON)) == []


async def test_a_dead_neighbour_does_not_take_the_place_of_a_live_one(store: Store) -> None:
    partition, query, other = new_partition(), a_vector(4), a_vector(5)
    await store.put(an_entry(partition, "dead", vector=query, expires_at=NOW + 1))
    live = an_entry(partition, "live", vector=between(query, other, 0.8))
    await store.put(live)
    assert ids(await store.nearest(partition, query, 1, NOW + 5, SOON)) == [live.id]


async def test_writing_the_same_question_again_replaces_it(store: Store) -> None:
    partition, old_vector, new_vector = new_partition(), a_vector(6), a_vector(7)
    await store.put(an_entry(partition, vector=old_vector, content="old"))
    new = an_entry(partition, vector=new_vector, content="new", created_at=NOW + 1, expires_at=NOW + 99)
    await store.put(new)
    await store.put(new)
    assert_same(await store.get(partition, new.id, NOW, SOON), new)
    [candidate] = await store.nearest(partition, old_vector, 4, NOW, SOON)
    assert_same(candidate.entry, new)
    assert await store.get(partition, new.id, NOW + 100, SOON) is None


@pytest.mark.parametrize(
    "hostile",
    [
        '" or partition != "',
        '" or expires_at > 0 or partition == "',
        'a" || true || id == "',
        "%",
        "{p}",
        "0" * 65,
        "",
        "ABCDEF",
        "\n",
        "0f\n",
    ],
)
async def test_a_key_is_never_read_as_an_expression(store: Store, hostile: str) -> None:
    entry = an_entry(new_partition())
    await store.put(entry)
    for partition, entry_id in ((hostile, entry.id), (entry.partition, hostile), (hostile, hostile)):
        assert await _unless_invalid(store.get(partition, entry_id, NOW, SOON)) is None
    assert not await _unless_invalid(store.nearest(hostile, entry.vector, 4, NOW, SOON))
    assert await store.get(entry.partition, entry.id, NOW, SOON) is not None


async def _unless_invalid(asked: Awaitable[T]) -> T | None:
    """What a store says to a key that is no digest: nothing found, or that the key is invalid."""
    try:
        return await asked
    except PortError as error:
        if error.reason is not Failure.INVALID:
            raise
        return None


@pytest.mark.parametrize(
    "vector",
    [
        a_vector(1, DIMENSION + 1),
        a_vector(1, DIMENSION - 1),
        np.full(DIMENSION, np.nan, dtype=np.float32),
        np.full(DIMENSION, np.inf, dtype=np.float32),
        np.zeros((DIMENSION, 1), dtype=np.float32),
    ],
    ids=["longer", "shorter", "nan", "inf", "matrix"],
)
async def test_a_vector_that_is_none_of_ours_is_refused(store: Store, vector: Vector) -> None:
    partition = new_partition()
    with pytest.raises(PortError) as putting:
        await store.put(an_entry(partition, vector=vector))
    with pytest.raises(PortError) as asking:
        await store.nearest(partition, vector, 1, NOW, SOON)
    assert putting.value.reason is asking.value.reason is Failure.INVALID
    assert list(await store.nearest(partition, a_vector(1), 1, NOW, SOON)) == []


async def test_entries_survive_a_restart_of_a_lasting_store(backend: Backend) -> None:
    entry = an_entry(new_partition(), content="remembered")
    dead = an_entry(entry.partition, "dead", expires_at=NOW - 1)
    first = await backend.open()
    await first.put(entry)
    await first.put(dead)
    await first.close()
    second = await backend.open()
    try:
        found = await second.get(entry.partition, entry.id, NOW, SOON)
        if backend.lasting:
            assert_same(found, entry)
            assert ids(await second.nearest(entry.partition, dead.vector, 4, NOW, SOON)) == [entry.id]
        else:
            assert found is None
    finally:
        await second.close()


async def test_an_entry_that_is_exact_only_is_found_by_its_id_and_never_by_meaning(store: Store) -> None:
    exact = an_entry(new_partition(), "exact", exact_only=True)
    near = an_entry(exact.partition, "near", vector=between(exact.vector, a_vector(1), 0.9))
    await store.put(exact)
    await store.put(near)
    assert_same(await store.get(exact.partition, exact.id, NOW, SOON), exact)
    assert ids(await store.nearest(exact.partition, exact.vector, 1, NOW, SOON)) == [near.id]
    assert ids(await store.nearest(exact.partition, exact.vector, 9, NOW, SOON)) == [near.id]


async def test_an_entry_may_become_exact_only_and_back(store: Store) -> None:
    entry = an_entry(new_partition())
    for exact_only in (False, True, False):
        await store.put(dataclasses.replace(entry, exact_only=exact_only))
        found = await store.nearest(entry.partition, entry.vector, 1, NOW, SOON)
        assert ids(found) == ([] if exact_only else [entry.id])


async def test_what_died_is_still_found_by_who_asks_with_grace_until_it_is_purged(store: Store) -> None:
    """`at` is the caller's: a stale answer is asked for with an earlier time."""
    entry = an_entry(new_partition(), expires_at=NOW + 10)
    await store.put(entry)
    late, grace = NOW + 30, 60.0
    assert await store.get(entry.partition, entry.id, late, SOON) is None
    assert_same(await store.get(entry.partition, entry.id, late - grace, SOON), entry)
    assert ids(await store.nearest(entry.partition, entry.vector, 1, late - grace, SOON)) == [entry.id]

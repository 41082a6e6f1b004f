"""A block with a graph answers as brute force does, whatever came and went."""

from dataclasses import replace

import numpy as np
import pytest

from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Entry
from router_extproc.stores.block import Block
from tests.support.entries import NOW, a_partition, a_vector, an_entry, between

DIMENSION = 32
HERE = a_partition("here")
GRAPH_FROM = 64


def entry_of(number: int, vector: Vector | None = None, expires_at: float = NOW + 100) -> Entry:
    """Entry `number`; by default one of a cluster of eight neighbours."""
    if vector is None:
        vector = between(a_vector(number // 8, DIMENSION), a_vector(10**6 + number, DIMENSION), 0.8)
    return an_entry(HERE, str(number), vector=vector, expires_at=expires_at)


def filled(count: int) -> tuple[Block, dict[str, Entry]]:
    block, held = Block(DIMENSION, GRAPH_FROM), dict[str, Entry]()
    for number in range(count):
        entry = entry_of(number)
        block.write(entry)
        held[entry.id] = entry
    return block, held


def nearest(block: Block, vector: Vector, limit: int, at: float) -> list[tuple[str, float]]:
    """Ids and similarities of what the block finds."""
    return [(each.entry.id, each.similarity) for each in block.nearest(vector, limit, at)]


def recall(block: Block, held: dict[str, Entry]) -> float:
    """Share of the held entries near which a query finds the best answer."""
    ids, matrix = list(held), np.array([entry.vector for entry in held.values()])
    right = 0
    for number, vector in enumerate(matrix):
        query = between(vector, a_vector(2 * 10**6 + number, DIMENSION), 0.9)
        [(found, score)] = nearest(block, query, 1, NOW)
        scores = matrix @ query
        assert score == pytest.approx(float(scores[ids.index(found)]), abs=1e-6)
        right += score >= scores.max() - 1e-6
    return right / len(ids)


def test_a_graph_is_built_a_few_rows_a_write_and_takes_over_when_it_has_them_all() -> None:
    block, before = Block(DIMENSION, GRAPH_FROM), 0
    for number in range(2 * GRAPH_FROM):
        block.write(entry_of(number))
        assert block.slots - before <= 5
        before = block.slots
        assert not block.is_indexed or block.slots == number + 1
        if number < GRAPH_FROM - 1:
            assert block.slots == 0
    assert block.is_indexed


def test_brute_force_answers_while_the_graph_is_incomplete() -> None:
    block, held = filled(GRAPH_FROM + 3)
    assert block.slots > 0
    assert not block.is_indexed
    assert recall(block, held) == 1.0


def test_recall_holds_after_every_row_was_replaced_several_times_over() -> None:
    block, held = filled(300)
    assert recall(block, held) >= 0.99
    for number in range(300, 1200):
        oldest = next(iter(held))
        block.remove(oldest)
        del held[oldest]
        entry = entry_of(number)
        block.write(entry)
        held[entry.id] = entry
        assert block.slots <= 3 * len(held)
    assert block.is_indexed
    assert recall(block, held) >= 0.99


def test_recall_holds_while_vectors_of_entries_change() -> None:
    block, held = filled(300)
    for number in range(900):
        entry = entry_of(number % 300, entry_of(10_000 + number).vector)
        block.write(entry)
        held[entry.id] = entry
        assert block.slots <= 3 * len(held)
    assert recall(block, held) >= 0.99


def test_the_same_question_written_again_takes_no_slot() -> None:
    block, held = filled(200)
    before = block.slots
    for entry in held.values():
        block.write(entry)
    assert block.slots == before


def test_a_new_expiry_counts_although_the_vector_is_the_same() -> None:
    block, _ = filled(200)
    block.write(entry_of(3, expires_at=NOW + 1))
    near = dict(nearest(block, entry_of(3).vector, 3, NOW + 0.5))
    assert entry_of(3).id in near
    assert entry_of(3).id not in dict(nearest(block, entry_of(3).vector, 3, NOW + 1))


@pytest.mark.parametrize("count", [20, 200])
def test_the_newest_of_what_was_written_for_a_question_is_found(count: int) -> None:
    block, held = filled(count)
    again, other = list(held.values())[3], list(held.values())[7]
    newer = replace(again, created_at=NOW + 1)
    moved = replace(other, created_at=NOW + 1, vector=-other.vector)
    block.write(newer)
    block.write(moved)
    assert block.nearest(newer.vector, 1, NOW)[0].entry is newer
    assert block.nearest(moved.vector, 1, NOW)[0].entry is moved


@pytest.mark.parametrize("count", [1, 200])
def test_a_similarity_is_never_beyond_one(count: int) -> None:
    block, _ = filled(count)
    long = np.float32(1 + 1e-5) * entry_of(0).vector
    assert block.nearest(long, 1, NOW)[0].similarity == 1.0
    assert min(each.similarity for each in block.nearest(-long, count, NOW)) == -1.0


@pytest.mark.parametrize("dead", [1, 30, 190])
def test_expired_rows_are_not_found_and_hide_no_live_one(dead: int) -> None:
    query, away = a_vector(1, DIMENSION), a_vector(2, DIMENSION)
    block, live = Block(DIMENSION, GRAPH_FROM), []
    for number in range(200):
        if number < dead:
            near = between(query, a_vector(100 + number, DIMENSION), 0.99)
            block.write(entry_of(number, near, expires_at=NOW + 1))
        else:
            entry = entry_of(number, between(away, a_vector(100 + number, DIMENSION), 0.9))
            block.write(entry)
            live.append(entry)
    assert block.is_indexed
    scores = {entry.id: float(np.dot(entry.vector, query)) for entry in live}
    best = sorted(scores.values(), reverse=True)[:5]
    found = nearest(block, query, 5, NOW + 1)
    assert [score for _, score in found] == pytest.approx(best, abs=1e-6)
    assert all(scores[each] == pytest.approx(score, abs=1e-6) for each, score in found)


def test_removed_rows_hide_no_live_one() -> None:
    query = a_vector(1, DIMENSION)
    block, held = filled(200)
    crowd = [entry_of(1000 + i, between(query, a_vector(500 + i, DIMENSION), 0.99)) for i in range(150)]
    for entry in crowd:
        block.write(entry)
    for entry in crowd:
        block.remove(entry.id)
    best = sorted((float(np.dot(each.vector, query)) for each in held.values()), reverse=True)[:5]
    assert [score for _, score in nearest(block, query, 5, NOW)] == pytest.approx(best, abs=1e-6)


def test_a_block_that_shrinks_gives_its_graph_up_and_gets_one_again_when_it_grows() -> None:
    block, held = filled(300)
    for entry_id in list(held)[:-10]:
        block.remove(entry_id)
        del held[entry_id]
    assert block.slots == 0
    assert recall(block, held) == 1.0
    for number in range(1000, 1300):
        entry = entry_of(number)
        block.write(entry)
        held[entry.id] = entry
    assert block.is_indexed
    assert recall(block, held) >= 0.99


def test_a_limit_above_what_is_held_returns_all_that_live() -> None:
    block, held = filled(100)
    found = nearest(block, a_vector(1, DIMENSION), 500, NOW)
    assert {each for each, _ in found} == set(held)
    assert len(found) == len(held)


def test_rows_removed_while_the_graph_is_built_never_enter_it() -> None:
    block, held = filled(GRAPH_FROM + 2)
    gone = [held.pop(entry_id) for entry_id in list(held)[-20:]]
    for entry in gone:
        block.remove(entry.id)
    while not block.is_indexed:
        for entry in held.values():
            entry = an_entry(HERE, entry.text, vector=-entry.vector, expires_at=entry.expires_at)
            block.write(entry)
    for entry in gone:
        assert {each for each, _ in nearest(block, entry.vector, 5, NOW)} <= set(held)

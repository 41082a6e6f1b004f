"""The graph: what it finds, and that rows which are gone stay gone."""

import numpy as np
import pytest
from numpy.typing import NDArray

from router_extproc.stores.index import Graph, slot_bytes
from tests.support.entries import a_vector, between

DIMENSION = 32
CLUSTER = 8


def clustered(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Unit vectors in clusters of about `CLUSTER`, whose members have a cosine of 0.8 with its centre."""
    random = np.random.default_rng(seed)
    centres = [a_vector(int(n), DIMENSION) for n in random.integers(0, 2**32, count // CLUSTER)]
    return np.array(
        [between(centres[i % len(centres)], a_vector(seed * count + i, DIMENSION), 0.8) for i in range(count)]
    )


def graph_of(vectors: NDArray[np.float32]) -> Graph:
    graph = Graph(DIMENSION)
    for row, vector in enumerate(vectors):
        graph.put(row, vector)
    return graph


def test_it_finds_the_nearest_of_nearly_every_query() -> None:
    vectors = clustered(1000)
    graph = graph_of(vectors)
    queries = np.array([between(v, a_vector(10**6 + i, DIMENSION), 0.9) for i, v in enumerate(vectors[::4])])
    best = (queries @ vectors.T).argmax(axis=1)
    found = [best[i] in graph.nearest(query, 8) for i, query in enumerate(queries)]
    assert np.mean(found) >= 0.99


def test_an_empty_graph_finds_nothing_and_a_small_one_all_it_has() -> None:
    graph = Graph(DIMENSION)
    assert graph.nearest(a_vector(1, DIMENSION), 4).tolist() == []
    graph.put(7, a_vector(2, DIMENSION))
    assert graph.nearest(a_vector(1, DIMENSION), 4).tolist() == [7]


def test_an_answer_is_the_askers_own() -> None:
    vectors = clustered(400)
    graph = graph_of(vectors)
    first = graph.nearest(vectors[0], 8)
    kept = first.copy()
    for vector in vectors:
        graph.nearest(vector, 8)
    np.testing.assert_array_equal(first, kept)


def test_it_answers_whatever_was_asked_for_before() -> None:
    vectors = clustered(400)
    graph = graph_of(vectors)
    for count in (1, 400, 3, 1000, 8):
        found = graph.nearest(vectors[5], count).tolist()
        assert found[0] == 5
        assert len(found) == len(set(found)) == min(count, 400)


def test_a_vector_with_gaps_between_its_numbers_is_refused() -> None:
    graph = graph_of(clustered(8))
    with pytest.raises(ValueError, match="contiguous"):
        graph.nearest(np.repeat(a_vector(1, DIMENSION), 2)[::2], 4)


def test_a_dropped_row_is_never_found() -> None:
    vectors = clustered(400)
    graph = graph_of(vectors)
    for row in range(0, 400, 2):
        graph.drop(row)
        graph.drop(row)
    assert (graph.live, graph.slots) == (200, 400)
    for vector in vectors:
        assert all(row % 2 for row in graph.nearest(vector, 40).tolist())


def test_a_row_put_again_is_found_where_it_is_now_and_only_once() -> None:
    vectors = clustered(400)
    graph = graph_of(vectors)
    old, new = vectors[5], -vectors[5]
    graph.put(5, new)
    assert 5 in graph.nearest(new, 4)
    assert 5 not in graph.nearest(old, 40)
    assert graph.nearest(new, 400).tolist().count(5) == 1
    assert graph.live == 400


def test_a_moved_row_is_found_under_its_new_name_in_place_of_what_had_it() -> None:
    vectors = clustered(400)
    graph = graph_of(vectors)
    graph.move(399, 5)
    assert 399 not in graph
    assert graph.live == 399
    assert 5 in graph.nearest(vectors[399], 4)
    assert 5 not in graph.nearest(vectors[5], 4)
    graph.move(1000, 6)  # a row it never had: the name becomes free
    assert 6 not in graph


def test_the_same_rows_in_the_same_order_give_the_same_answers() -> None:
    vectors = clustered(500)
    one, other = graph_of(vectors), graph_of(vectors)
    for i in range(100):
        query = a_vector(10**6 + i, DIMENSION)
        np.testing.assert_array_equal(one.nearest(query, 10), other.nearest(query, 10))


def test_many_equal_vectors_do_not_hide_the_others() -> None:
    """The encoder ignores case and much punctuation, so many texts may have one vector."""
    same = a_vector(1, DIMENSION)
    others = clustered(400)
    graph = graph_of(np.concatenate([others[:200], np.tile(same, (300, 1)), others[200:]]))
    for row, vector in enumerate(others):
        assert (row if row < 200 else row + 300) in graph.nearest(vector, 8)
    assert set(graph.nearest(same, 8).tolist()) <= set(range(200, 500))


@pytest.mark.parametrize("dimension", [1, 16, 384, 1024])
def test_any_dimension_works_and_a_slot_is_charged_more_than_its_vector(dimension: int) -> None:
    graph = Graph(dimension)
    for row in range(50):
        graph.put(row, a_vector(row, dimension))
    assert len(graph.nearest(a_vector(3, dimension), 4)) == 4
    assert slot_bytes(dimension) > 2 * dimension

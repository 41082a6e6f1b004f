"""The store in memory against a dictionary. Its graphs start at few entries, so that they come and go."""

from collections.abc import Coroutine
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Entry
from router_extproc.stores.eviction import PolicyName
from router_extproc.stores.memory import MemoryStore, size_of
from tests.support.entries import DIMENSION, NOW, a_partition, a_vector, an_entry, between

T = TypeVar("T")

MAX_ENTRIES = 40
MAX_BYTES = 34 * size_of(an_entry("a", content="x" * 60))
"""Below what that many long answers take, so that either bound may be the one that evicts."""

partitions = st.sampled_from([a_partition(name) for name in "ab"])
questions = st.integers(0, 59).map(str)
vectors = st.integers(0, 23)
limits = st.integers(1, 12)


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing but its turn."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration as stopped:
            result: T = stopped.value
            return result


def vector_of(number: int) -> Vector:
    """Some are near each other, some far: four directions, six vectors around each."""
    return between(a_vector(number % 4), a_vector(100 + number), 0.9)


class Store(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.held: dict[str, Entry] = {}

    @initialize(policy=st.sampled_from(["fifo", "lru", "lfu"]), graph_from=st.sampled_from([4, 12, 10**6]))
    def open(self, policy: PolicyName, graph_from: int) -> None:
        self.exact = graph_from > MAX_ENTRIES
        self.store = MemoryStore(DIMENSION, MAX_ENTRIES, MAX_BYTES, policy, graph_from=graph_from)

    def put(
        self, partition: str, question: str, vector: int, life: int, length: int, exact_only: bool
    ) -> None:
        entry = an_entry(
            partition,
            question,
            vector=vector_of(vector),
            content="x" * length,
            expires_at=self.now + life,
            exact_only=exact_only,
        )
        for gone in self.store.insert(entry):
            del self.held[gone]
        self.held[entry.id] = entry

    @rule(
        partition=partitions,
        first=st.integers(0, 59),
        count=st.integers(1, 30),
        vector=vectors,
        life=st.integers(1, 40),
        length=st.integers(0, 60),
        exact_only=st.integers(0, 7).map(lambda number: number == 0),
    )
    def put_some(
        self, partition: str, first: int, count: int, vector: int, life: int, length: int, exact_only: bool
    ) -> None:
        """Many in one step: a graph needs them."""
        for i in range(count):
            self.put(
                partition,
                str((first + i) % 60),
                (vector + i) % 24,
                1 + (life + 7 * i) % 40,
                length,
                exact_only,
            )

    @rule(seconds=st.integers(1, 10))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def purge(self) -> None:
        dead = [each.id for each in self.held.values() if each.expires_at <= self.now]
        assert at_once(self.store.purge(self.now)) == len(dead)
        for entry_id in dead:
            del self.held[entry_id]

    @rule(partition=partitions, asked=partitions, question=questions)
    def get(self, partition: str, asked: str, question: str) -> None:
        entry_id = an_entry(partition, question).id
        held = self.held.get(entry_id)
        lives = held is not None and held.partition == asked and held.expires_at > self.now
        assert at_once(self.store.get(asked, entry_id, self.now)) is (held if lives else None)

    @rule(partition=partitions, vector=vectors, seed=st.integers(0, 99), limit=limits)
    def nearest(self, partition: str, vector: int, seed: int, limit: int) -> None:
        query = between(vector_of(vector), a_vector(1000 + seed), 0.9)
        eligible = {
            each.id: float(np.dot(each.vector, query))
            for each in self.held.values()
            if each.partition == partition and each.expires_at > self.now and not each.exact_only
        }
        found = at_once(self.store.nearest(partition, query, limit, self.now))
        assert len(found) == min(limit, len(eligible))
        assert len({each.entry.id for each in found}) == len(found)
        for each in found:
            assert self.held[each.entry.id] is each.entry
            assert each.similarity == pytest.approx(eligible[each.entry.id], abs=1e-6)
        similarities = [each.similarity for each in found]
        assert similarities == sorted(similarities, reverse=True)
        if self.exact:
            best = sorted(eligible.values(), reverse=True)[:limit]
            assert similarities == pytest.approx(best, abs=1e-6)

    @invariant()
    def the_bounds_hold(self) -> None:
        if hasattr(self, "store"):
            assert len(self.store) == len(self.held) <= MAX_ENTRIES
            assert self.store.bytes == sum(size_of(each) for each in self.held.values()) <= MAX_BYTES


TestStore = Store.TestCase
TestStore.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

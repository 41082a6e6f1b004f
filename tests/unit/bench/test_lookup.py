"""The lookup benchmark's own arithmetic: what it calls a sample, a recall and a table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bench import lookup
from bench.indexes import Base, Numpy, Ours
from bench.lookup import Row, in_memory, least_effort, measures, recall, table
from bench.vectors import DIMENSION, HIT, Matrix, sample


def test_a_sample_has_unit_vectors_and_knows_the_best_answer_to_each_query() -> None:
    data = sample(500, 100)
    assert data.stored.shape == (500, DIMENSION)
    assert np.linalg.norm(data.stored, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert data.best == pytest.approx((data.queries @ data.stored.T).max(axis=1), abs=1e-6)
    assert 0.75 <= (data.best >= HIT).mean() <= 0.85
    np.testing.assert_array_equal(sample(500, 100).stored, data.stored)


def test_recall_counts_the_best_answer_only_and_any_of_equally_good_ones() -> None:
    data = sample(200, 50)
    order = np.argsort(-(data.queries @ data.stored.T), axis=1)
    assert recall(order[:, :5].tolist(), data) == (1.0, 1.0)
    assert recall(order[:, 100:105].tolist(), data) == (0.0, 0.0)
    assert recall([[]] * 50, data) == (0.0, 0.0)
    half = [row[:1] if i % 2 else [] for i, row in enumerate(order.tolist())]
    assert recall(half, data)[1] == 0.5


class Picky(Base):
    """Finds the best row from a setting of 3 on."""

    name = "picky"
    settings: Sequence[int] = (1, 2, 3, 4)
    chosen = 0

    def build(self, vectors: Matrix) -> None:
        self._vectors = vectors

    def set(self, setting: int) -> None:
        self.chosen = setting

    async def nearest(self, vector: Matrix) -> Any:
        return [int(np.argmax(self._vectors @ vector))] if self.chosen >= 3 else []


async def test_a_library_gets_the_least_effort_that_reaches_the_recall() -> None:
    data, subject = sample(100, 40), Picky()
    subject.build(data.stored)
    assert await least_effort(subject, data) == 3
    assert subject.chosen == 3


class Absent(Base):
    name = "absent"

    def build(self, vectors: Matrix) -> None:
        raise ImportError("absent")

    async def nearest(self, vector: Matrix) -> Any:
        raise AssertionError("asked without being built")


async def test_subjects_are_measured_together_and_a_missing_library_is_named() -> None:
    rows = await in_memory(sample(300, 40), (Ours, Numpy, Absent))
    assert [row.subject for row in rows] == ["router-extproc", "numpy", "absent"]
    assert [(row.recall, row.recall_all) for row in rows[:2]] == [(1.0, 1.0)] * 2
    assert rows[1].ratio == pytest.approx(1.0)
    assert all(0 < row.p50 <= row.p99 for row in rows[:2])
    assert "not installed" in table(rows).splitlines()[-1]


def test_measures_have_a_name_a_value_and_a_unit_and_leave_out_what_was_not_measured() -> None:
    rows = [Row("one", 10, 1.0, 2.0, 1.0, 0.99, 0.5, ratio=1.5), Row("two", 10, why="not installed")]
    found = measures(rows)
    assert {tuple(each) for each in found} == {("measure", "value", "unit")}
    assert found[0] == {"measure": "lookup, one, 10 entries: p50", "value": 1.0, "unit": "ms"}
    assert not any("two" in str(each["measure"]) for each in found)


def test_the_sizes_are_those_that_are_promised() -> None:
    assert lookup.SIZES == (1_000, 10_000, 100_000)
    assert lookup.MILVUS_SIZES == (1_000, 20_000)

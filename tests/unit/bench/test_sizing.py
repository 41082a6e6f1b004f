"""The arithmetic behind `docs/SCALING.md`."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.sizing import Costs, Load, put, simulated_waits, size_of

PAGE = Path(__file__).parents[3] / "docs" / "SCALING.md"


def test_the_page_has_the_tables() -> None:
    text = PAGE.read_text()
    assert put(text) == text, "python -m bench.sizing docs/SCALING.md"


def test_the_mix_of_prompts_is_whole() -> None:
    assert sum(share for _, share, _ in Costs().passes) == pytest.approx(1.0)


def test_waiting_is_that_of_the_formula_where_there_is_one() -> None:
    # M/D/1 (Pollaczek-Khinchine): utilisation / (2 (1 - utilisation)) service times on average.
    waits = simulated_waits([(1.0, 10.0)], 1, 0.5)
    assert sum(waits) / len(waits) == pytest.approx(5.0, rel=0.05)


def test_more_workers_wait_less_and_more_load_waits_longer() -> None:
    kinds = [(0.5, 5.0), (0.5, 20.0)]
    few, many = (simulated_waits(kinds, workers, 0.6) for workers in (2, 32))
    busy = simulated_waits(kinds, 2, 0.9)
    assert many[-len(many) // 100] < few[-len(few) // 100] < busy[-len(busy) // 100]


def test_a_size_follows_its_load() -> None:
    load, costs = Load(1_000.0), Costs()
    size = size_of(load, costs)
    assert size == size_of(load, costs)  # the same every time
    assert size.workers * load.utilisation >= load.rate * size.core_ms / 1000
    assert (size.workers - 1) * load.utilisation < load.rate * size.core_ms / 1000
    assert size.streams == 700 * load.answer_seconds
    assert size.writes == 700.0
    assert size.searches == 850.0
    cached = size_of(replace(load, exact=0.6, semantic=0.2), costs)
    assert cached.workers < size.workers
    assert cached.writes == pytest.approx(200.0)

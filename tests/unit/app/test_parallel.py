"""Work side by side: in order, with few items at a time, and told of."""

import threading
from collections.abc import Iterator

import pytest

from router_extproc.app.parallel import AHEAD, on_all_cores
from router_extproc.encoder.cpu import available_threads


def test_results_come_in_the_order_of_the_items(capsys: pytest.CaptureFixture[str]) -> None:
    """The first is not done before the second: each waits for the other's thread or for its own turn."""
    second = threading.Event()

    def work(item: int) -> int:
        if item == 0 and available_threads() > 1:
            assert second.wait(10)
        if item == 1:
            second.set()
        return -item

    assert list(on_all_cores(work, range(50), 50, "things")) == [-item for item in range(50)]
    assert "50 things in" in capsys.readouterr().err


def test_few_items_are_taken_before_their_results_are_read() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(10_000):
            taken += 1
            yield item

    results = on_all_cores(lambda item: item, items(), 10_000, "things")
    assert next(results) == 0
    assert taken <= AHEAD * available_threads()
    results.close()  # type: ignore[attr-defined]
    assert taken < 10_000


def test_an_error_of_the_work_is_the_callers() -> None:
    def work(item: int) -> int:
        raise KeyError(item)

    with pytest.raises(KeyError):
        list(on_all_cores(work, [1], 1, "things"))

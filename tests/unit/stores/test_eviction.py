"""Which id leaves next."""

import random
from collections import Counter

import pytest

from router_extproc.stores.eviction import Eviction, eviction


def leaving_order(order: Eviction, count: int) -> list[str]:
    left = []
    for _ in range(count):
        victim = order.victim()
        order.remove(victim)
        left.append(victim)
    return left


def test_fifo_ignores_use_and_renews_what_is_written_again() -> None:
    order = eviction("fifo")
    for each in "abc":
        order.add(each)
    order.use("a")
    order.replace("b")
    assert leaving_order(order, 3) == ["a", "c", "b"]


def test_lru_keeps_what_was_used_or_written_lately() -> None:
    order = eviction("lru")
    for each in "abcd":
        order.add(each)
    order.use("a")
    order.replace("b")
    assert leaving_order(order, 4) == ["c", "d", "a", "b"]


def test_lfu_keeps_what_was_used_often_and_lets_the_first_of_equals_go() -> None:
    order = eviction("lfu")
    for each in "abcd":
        order.add(each)
    for each in "aabbc":
        order.use(each)
    assert leaving_order(order, 4) == ["d", "c", "a", "b"]


def test_lfu_gives_a_newcomer_no_credit() -> None:
    order = eviction("lfu")
    order.add("old")
    order.use("old")
    order.add("new")
    assert order.victim() == "new"


def test_lfu_keeps_the_count_of_what_is_written_again() -> None:
    order = eviction("lfu")
    for each in "ab":
        order.add(each)
    order.use("a")
    order.replace("a")
    assert order.victim() == "b"


def test_lfu_agrees_with_counting_over_many_random_steps() -> None:
    choose = random.Random(7)
    order, uses, since = eviction("lfu"), Counter[str](), dict[str, int]()
    for step in range(3000):
        held = list(since)
        action = choose.choice(["add", "use", "use", "remove", "evict"])
        if action == "add" or not held:
            uses[str(step)], since[str(step)] = 0, step
            order.add(str(step))
        elif action == "use":
            each = choose.choice(held)
            uses[each], since[each] = uses[each] + 1, step
            order.use(each)
        else:
            expected = min(held, key=lambda each: (uses[each], since[each]))
            assert order.victim() == expected
            gone = expected if action == "evict" else choose.choice(held)
            order.remove(gone)
            del since[gone]


@pytest.mark.parametrize("name", ["fifo", "lru", "lfu"])
def test_an_empty_order_has_no_victim(name: str) -> None:
    with pytest.raises(KeyError):
        eviction(name).victim()  # type: ignore[arg-type]

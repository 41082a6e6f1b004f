"""A phrase put elsewhere, and parts exchanged."""

import pytest

from router_extproc.caching.order import order_differs
from router_extproc.caching.pairing import side_by_side
from router_extproc.caching.reading import read


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("", ""),
        ("$ %", "% $"),
        ("$", "$ $"),
        ("In Rome, what grew in 1500?", "What grew in Rome in 1500?"),
        ("Where can I park in the city?", "Where in the city can I park?"),
        ("a virus and a worm", "a worm and a virus"),
    ],
)
def test_what_has_only_moved_is_the_same(a: str, b: str) -> None:
    assert not order_differs(side_by_side(read(a), read(b)))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Did Rome attack Carthage?", "Did Carthage attack Rome?"),
        ("Is a whale a fish?", "Is a fish a whale?"),
        ("copy it from the laptop to the server", "copy it from the server to the laptop"),
        ("wash before the meal", "wash after the meal"),
        ("Do dogs often chase a cat?", "Does a cat chase dogs?"),
    ],
)
def test_parts_exchanged_are_a_difference(a: str, b: str) -> None:
    assert order_differs(side_by_side(read(a), read(b)))
    assert order_differs(side_by_side(read(b), read(a)))

"""The fuzz targets without the fuzzer: their seeds, and each seed damaged some thousand times, the same in
every run. `make fuzz` looks further."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import cast

import pytest

from tests.fuzz.__main__ import TARGETS

RUNS = 2_000
PIECES = (
    *(b'"', b"\\", b"{", b"}", b"[", b",", b":", b"\n\n", b"\r", b"\x00", b"\xff", b"\xed\xa0\x80", b"1e999"),
    *(b'"model":', b'"messages":', b'"content":', b'{"a":1,"a":2}'),
)


def damaged(seed: bytes, seeds: Sequence[bytes], chance: Random) -> bytes:
    """Some bytes changed, removed, repeated, or taken from another seed."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 4)):
        start = chance.randint(0, len(data))
        stop = min(len(data), start + chance.choice((0, 1, 2, 8, 40)))
        other = chance.choice(seeds)
        at = chance.randint(0, len(other))
        taken, again = other[at : at + 30], bytes(data[start:stop]) * 3
        data[start:stop] = chance.choice((b"", chance.randbytes(1), chance.choice(PIECES), again, taken))
    return bytes(data)


def test_every_target_is_in_the_list() -> None:
    found = {path.stem for path in Path(__file__).parent.glob("*.py")} - {"__main__", "test_replay"}
    assert found == set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_for_its_seeds_and_for_damaged_ones(name: str) -> None:
    module = importlib.import_module(f"tests.fuzz.{name}")
    target, seeds = cast("Callable[[bytes], None]", module.target), cast("tuple[bytes, ...]", module.SEEDS)
    chance = Random(name)
    for seed in (b"", *seeds):
        target(seed)
    for number in range(RUNS):
        data = damaged(seeds[number % len(seeds)], seeds, chance)
        try:
            target(data)
        except Exception as error:
            raise AssertionError(f"{name} fails on {data!r}") from error

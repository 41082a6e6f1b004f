"""A configuration may be anybody's file: whatever is in it, the answer is settings or one line, and soon."""

import time
from pathlib import Path
from typing import Final

import pytest

from router_extproc.base.errors import ConfigError
from router_extproc.settings.yaml_file import parse_yaml

PATH: Final = Path("router.yaml")
SECONDS: Final = 20.0
"""The slowest takes half a second; before there were bounds, some took minutes."""


def laughs(levels: int, each: str) -> str:
    lines = [f"a0: &a0 {each}"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, levels)]
    return "\n".join(lines)


BOMBS: Final = {
    "aliases of aliases": laughs(9, "[1, 2]"),
    "a chain of aliases": "\n".join(["a0: &a0 x", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 3000))]),
    "a value within itself": "a: &a [*a]",
    "merges of merges": "a: &a {b: 1}\nc: {<<: [*a, *a]}",
    "a number in base 60": "a: " + "1:" * 100_000 + "1",
    "a fraction in base 60": "a: " + "1:" * 300 + "1.5",
    "a long number": "a: " + "1" * 900_000,
    "a long hexadecimal number": "a: 0x" + "f" * 900_000,
    "half a million brackets": "a: " + "[" * 500_000,
    "200 brackets that close": "a: " + "[" * 200 + "]" * 200,
    "a list of a third of a million": "a: [" + "1, " * 340_000 + "]",
    "90,000 keys": "\n".join(f"k{number}: 1" for number in range(90_000)),
    "a mebibyte and more": "a: " + "x" * (1024 * 1024),
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_what_would_take_for_ever_is_refused_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(ConfigError) as caught:
        parse_yaml(PATH, text.encode())
    assert time.process_time() - began < SECONDS
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['true']",
        "!!python/name:os.system",
        "!!python/object:os.system {}",
        "!!python/module:os",
        "!!python/tuple [1]",
        "!custom x",
    ],
)
def test_no_tag_makes_anything_but_plain_data(value: str) -> None:
    with pytest.raises(ConfigError, match="could not determine a constructor"):
        parse_yaml(PATH, f"a: {value}".encode())


@pytest.mark.parametrize(
    "value", ["!!bool maybe", "!!int ''", "!!int x", "!!float x", "!!timestamp x", "!!map x", "2026-13-01"]
)
def test_a_value_that_is_not_what_its_tag_says_is_an_error_of_the_file(value: str) -> None:
    with pytest.raises(ConfigError, match="line 2"):
        parse_yaml(PATH, f"b: 1\na: {value}".encode())


@pytest.mark.parametrize("text", [b"a: \0b", b"a: \xff\xfe", b"a: \x9b31m", b'a: "\\ud800"', b"\xff" * 99])
def test_bytes_that_are_no_text_are_an_error_of_the_file(text: bytes) -> None:
    with pytest.raises(ConfigError):
        parse_yaml(PATH, text)


def test_what_a_large_pool_needs_is_read() -> None:
    models = "\n".join(
        f"  m{number}: {{preferred_endpoints: [e{number}], quality: 0.5}}" for number in range(5000)
    )
    read = parse_yaml(PATH, f"model_config:\n{models}\n".encode())
    assert len(read["model_config"]) == 5000

"""The hand-labelled pairs the semantic cache is measured with: shape, counts and no repeats."""

import json
from collections import Counter
from pathlib import Path

import msgspec
import pytest

PAIRS = Path(__file__).parents[2] / "bench" / "data" / "hard_pairs.jsonl"

NEGATIVE_KINDS = (
    "entity",
    "number",
    "unit",
    "date",
    "negation",
    "antonym",
    "direction",
    "version",
    "language",
    "file",
    "flag",
    "quote",
)
PARAPHRASE = "paraphrase"
FEWEST_PER_NEGATIVE_KIND = 36
FEWEST_NEGATIVES = 432
FEWEST_PARAPHRASES = 240


class HardPair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two prompts, whether one answer serves both, and what the pair differs in."""

    a: str
    b: str
    same: bool
    kind: str


@pytest.fixture(scope="module")
def pairs() -> list[HardPair]:
    lines = PAIRS.read_text(encoding="utf-8").splitlines()
    return [msgspec.json.decode(line, type=HardPair) for line in lines]


def test_every_line_has_the_four_keys_in_order() -> None:
    for number, line in enumerate(PAIRS.read_text(encoding="utf-8").splitlines(), start=1):
        assert list(json.loads(line)) == ["a", "b", "same", "kind"], f"line {number}"


def test_a_pair_is_the_same_question_only_when_it_is_a_paraphrase(pairs: list[HardPair]) -> None:
    for pair in pairs:
        assert pair.same == (pair.kind == PARAPHRASE), pair


def test_there_are_enough_pairs_of_each_kind_and_no_other_kind(pairs: list[HardPair]) -> None:
    counts = Counter(pair.kind for pair in pairs)
    assert set(counts) == {*NEGATIVE_KINDS, PARAPHRASE}
    few = {kind: counts[kind] for kind in NEGATIVE_KINDS if counts[kind] < FEWEST_PER_NEGATIVE_KIND}
    assert few == {}
    assert sum(counts[kind] for kind in NEGATIVE_KINDS) >= FEWEST_NEGATIVES
    assert counts[PARAPHRASE] >= FEWEST_PARAPHRASES


def test_no_pair_occurs_twice_in_either_order(pairs: list[HardPair]) -> None:
    counts = Counter(frozenset((pair.a.casefold(), pair.b.casefold())) for pair in pairs)
    assert [sorted(sides) for sides, count in counts.items() if count > 1] == []


def test_the_sides_of_a_pair_differ_in_more_than_case(pairs: list[HardPair]) -> None:
    assert [pair for pair in pairs if pair.a.casefold() == pair.b.casefold()] == []


def test_no_prompt_is_padded_or_broken_over_lines(pairs: list[HardPair]) -> None:
    for pair in pairs:
        for side in (pair.a, pair.b):
            assert side == " ".join(side.split()), pair


def test_prompts_are_of_the_length_people_type(pairs: list[HardPair]) -> None:
    for pair in pairs:
        for side in (pair.a, pair.b):
            assert 4 <= len(side.split()) <= 40, side

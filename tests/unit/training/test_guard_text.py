"""The guard's training text: repeatable, complete, without repeats, and every place of every piece filled."""

from collections import Counter
from random import Random
from re import compile

import pytest

from training.guard_text import ATTACKS, HOLE, PARTS, STEADY, GuardRow, generate, read_wording
from training.guard_text_style import DISGUISES

COUNT = 2_000
FAMILIES = {
    1: {
        "override", "task_hijack", "extraction", "persona", "developer_mode", "fiction", "authority",
        "prefix", "reward_threat", "refusal_suppression", "encoded", "split", "translation", "fewshot",
        "indirect", "non_english", "short_attack", "foreign_modes", "hidden_note",
        "soft_pressure", "code_insertion", "answer_tampering",
    },
    0: {
        "tricky", "sensitive", "documents", "ordinary", "game_input", "non_english_ordinary",
        "short_ordinary", "hidden_note_twins", "about_assistant", "code_ordinary",
        "format_ordinary", "trigger_words", "pasted_ordinary", "notes_to_people",
    },
}  # fmt: skip
FEWEST_PIECES = 60
FEWEST_TRICKY = 250
FEWEST_LANGUAGES = 12
PLACE = compile(r"\{\{([^{}]+)\}\}")


@pytest.fixture(scope="module")
def rows() -> list[GuardRow]:
    return generate(7, COUNT)


def test_the_same_seed_gives_the_same_rows(rows: list[GuardRow]) -> None:
    assert generate(7, COUNT) == rows


def test_another_seed_gives_other_rows(rows: list[GuardRow]) -> None:
    assert {row.text for row in generate(8, COUNT)} != {row.text for row in rows}


def test_as_many_rows_as_asked_for_and_no_two_texts_equal(rows: list[GuardRow]) -> None:
    assert len({row.text for row in rows}) == len(rows) == COUNT


def test_every_family_is_there_under_its_label(rows: list[GuardRow]) -> None:
    assert {(row.label, row.family) for row in rows} == {
        (label, family) for label, families in FAMILIES.items() for family in families
    }


def test_attacks_have_their_share(rows: list[GuardRow]) -> None:
    assert sum(row.label for row in rows) == round(COUNT * ATTACKS)


def test_every_family_is_there_even_in_the_smallest_set() -> None:
    families = sum(map(len, FAMILIES.values()))
    assert set(Counter(row.family for row in generate(1, families)).values()) == {1}


def test_fewer_rows_than_families_are_refused() -> None:
    with pytest.raises(ValueError, match="ask for more"):
        generate(1, 19)


def test_no_place_is_left_open(rows: list[GuardRow]) -> None:
    assert not [row.text for row in rows if PLACE.search(row.text) or HOLE in row.text]


def test_every_place_names_a_slot_or_words_to_choose_from() -> None:
    wording = read_wording(PARTS)
    pieces = [piece for part in wording.families for piece in part.templates]
    pieces += [piece for slot in wording.slots.values() for piece in slot]
    for inside in (match[1] for piece in pieces for match in PLACE.finditer(piece)):
        if "|" in inside:
            continue
        disguise, _, slot = inside.rpartition("!")
        assert not disguise or disguise in DISGUISES, inside
        assert set(slot.split("@")) <= wording.slots.keys(), inside
    assert wording.slots.keys() >= STEADY


def test_every_family_is_worded_in_many_ways() -> None:
    for part in read_wording(PARTS).families:
        pieces = sum(len(set(slot)) for slot in part.slots.values())
        assert pieces >= FEWEST_PIECES, part.family


def test_there_are_many_tricky_prompts_of_which_no_two_are_the_same() -> None:
    tricky = read_wording(PARTS).slots["k_all"]
    assert len(set(tricky)) == len(tricky) >= FEWEST_TRICKY


def test_attacks_come_in_many_languages() -> None:
    (translation,) = (part for part in read_wording(PARTS).families if part.family == "translation")
    assert sum(name.endswith("_o") for name in translation.slots) >= FEWEST_LANGUAGES


def test_a_persona_keeps_its_name() -> None:
    names = read_wording(PARTS).slots["aux"]
    texts = [row.text for row in generate(3, COUNT) if row.family == "persona"]
    assert all(sum(name in text for name in names) <= 1 for text in texts)


@pytest.mark.parametrize(
    ("name", "disguised"),
    [
        ("base64", "YWJjIGRl"),
        ("rot13", "nop qr"),
        ("reverse", "ed cba"),
        ("spaced", "a b c   d e"),
        ("dotted", "a.b.c. .d.e"),
        ("morse", ".- -... -.-. / -.. ."),
        ("fullwidth", "\uff41\uff42\uff43 \uff44\uff45"),
    ],
)
def test_a_disguise_hides_the_text_as_its_name_says(name: str, disguised: str) -> None:
    assert DISGUISES[name]("abc de", Random(1)) == disguised

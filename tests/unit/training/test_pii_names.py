"""Letters and syllables of names; no Faker here."""

import random

import pytest

from training.pii_names import blend, latin


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Щербаков", "Shcherbakov"),
        ("Юлия", "Yuliya"),
        ("Θεοδώρα", "Theodora"),
        ("Miklós", "Miklós"),
        ("Møller", "Møller"),
    ],
)
def test_names_get_latin_letters_and_keep_their_accents(name: str, expected: str) -> None:
    assert latin(name) == expected


def test_a_blend_is_one_piece_of_each_list_and_one_capital() -> None:
    names = {blend(random.Random(seed), [["Lin", "BER"], ["d", "g"], ["qvist"]]) for seed in range(40)}
    assert names == {"Lindqvist", "Lingqvist", "Berdqvist", "Bergqvist"}

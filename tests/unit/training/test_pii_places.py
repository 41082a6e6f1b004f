"""Forms of postal codes; no Faker here."""

import random
import re

from training.pii_places import fill_code


def test_a_form_becomes_digits_letters_and_spaces() -> None:
    for seed in range(20):
        code = fill_code(random.Random(seed), "LT-##_??")
        assert re.fullmatch(r"LT-\d\d [A-Z]{2}", code)


def test_codes_differ_from_seed_to_seed() -> None:
    assert len({fill_code(random.Random(seed), "#####") for seed in range(20)}) > 15

"""Templates and labels of the training text; the values here are made without Faker."""

import random
import re
from collections import Counter
from itertools import pairwise

import pytest

from router_extproc.screening.spans import PII_TYPES
from training.pii_text import SLOT_TYPES, PiiRow, Values, compose, load, slots_of, words


def plain_values() -> Values:
    return lambda slot, number: f"<{slot}{number}>"


def rows(seed: int = 3, count: int = 400, negatives: float = 0.3) -> list[PiiRow]:
    return list(compose(random.Random(seed), count, plain_values, negatives=negatives))


def test_there_are_enough_different_templates() -> None:
    personal, plain = load("*.json"), load("negative/*.json")
    assert len({template.text for template in personal}) == len(personal) >= 900
    assert len({template.text for template in plain}) == len(plain) >= 700
    assert len({template.name for template in [*personal, *plain]}) == len(personal) + len(plain)


def test_every_type_has_templates_and_every_slot_is_known() -> None:
    slots = Counter(slot for template in load("*.json") for slot, _ in slots_of(template.text))
    assert {slot for slot in slots if not slot.startswith("_")} == SLOT_TYPES.keys()
    assert set(SLOT_TYPES.values()) == PII_TYPES


def test_personal_templates_have_labels_and_the_others_have_none() -> None:
    assert all(slots_of(template.text) for template in load("*.json"))
    assert all(
        slot.startswith("_") for template in load("negative/*.json") for slot, _ in slots_of(template.text)
    )


def test_look_alikes_beside_personal_data_have_no_label() -> None:
    found = [row for row in rows(count=4000, negatives=0.0) if "<_" in row.text]
    assert found
    for row in found:
        assert not any("_" in row.text[start : start + 2] for start, _, _ in row.spans)


def test_word_lists_are_no_templates_and_repeat_nothing() -> None:
    assert not any("words" in template.name for template in [*load("*.json"), *load("negative/*.json")])
    for name in ("nationalities", "peoples", "countries", "towns", "parties"):
        assert len(set(words()[name])) == len(words()[name]) > 30


def test_no_template_has_a_broken_slot() -> None:
    for template in [*load("*.json"), *load("negative/*.json")]:
        assert "{{" not in re.sub(r"\{\{_?[a-z_]+?[0-9]?\}\}", "", template.text), template.name


def test_spans_are_where_the_values_are() -> None:
    labelled = 0
    for row in rows():
        for start, end, kind in row.spans:
            slot = re.fullmatch(r"<([a-z_]+?)[0-9]>", row.text[start:end].lower())
            assert slot is not None
            assert SLOT_TYPES[slot[1]] == kind
            labelled += 1
        assert all(left[1] <= right[0] for left, right in pairwise(row.spans))
    assert labelled > 400


def test_a_seed_gives_the_same_rows_and_another_one_others() -> None:
    assert rows(seed=3) == rows(seed=3)
    assert rows(seed=3) != rows(seed=4)


def test_the_share_without_personal_data_is_as_asked_for() -> None:
    share = sum(not row.spans for row in rows(count=2000)) / 2000
    assert share == pytest.approx(0.3, abs=0.04)
    assert all(row.spans for row in rows(negatives=0.0))
    with pytest.raises(ValueError, match="share"):
        rows(negatives=1.5)


def test_rows_name_their_templates() -> None:
    names = {template.name for template in [*load("*.json"), *load("negative/*.json")]}
    assert all(row.templates and set(row.templates) <= names for row in rows())

import pytest

from router_extproc.simulator.answers import Dice, answer, arguments, thinking

SEEDS = [f"{number:032x}" for number in range(300)]
QUESTION = "How does photosynthesis work in desert plants?"
START = (
    "The short answer to “How does photosynthesis work in desert plants?” depends on plants.\n\n"
    "If plants is held fixed, work follows almost at once."
)


def test_equal_seeds_give_equal_answers() -> None:
    assert answer(SEEDS[0], QUESTION) == answer(SEEDS[0], QUESTION)


def test_an_answer_is_the_same_on_every_machine() -> None:
    assert answer(SEEDS[0], QUESTION).startswith(START)


def test_answers_mention_what_was_asked() -> None:
    assert all("photosynthesis" in answer(seed, QUESTION) for seed in SEEDS[:20])


def test_answers_differ_in_length() -> None:
    lengths = {len(answer(seed, QUESTION)) for seed in SEEDS}
    assert max(lengths) > 3 * min(lengths)


@pytest.mark.parametrize("mark", ["\n- ", "\n* ", "```python\n", "≈", "🙂", "naïve", "“"])
def test_some_answers_have_what_is_easily_damaged(mark: str) -> None:
    assert any(mark in answer(seed, QUESTION) for seed in SEEDS)


@pytest.mark.parametrize("question", ["", "a b", "{word} {number} {absent}", "\\1 \\g<0>", "?" * 10_000])
def test_any_question_gets_an_answer(question: str) -> None:
    texts = [answer(seed, question) for seed in SEEDS[:20]]
    assert all(30 < len(text) < 3000 for text in texts)


def test_a_question_is_quoted_literally() -> None:
    assert any("{word} \\1" in answer(seed, "{word} \\1") for seed in SEEDS[:10])


def test_thoughts_are_not_the_answer() -> None:
    assert thinking(SEEDS[0], QUESTION) not in answer(SEEDS[0], QUESTION)


def test_arguments_have_each_required_property_in_its_type() -> None:
    schema = {
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "wind": {"type": "number"},
            "rain": {"type": "boolean"},
            "unit": {"enum": ["C", "F"]},
            "places": {"type": "array"},
            "options": {"type": "object"},
            "optional": {"type": "string"},
        },
        "required": ["city", "days", "wind", "rain", "unit", "places", "options", "undeclared"],
    }
    made = arguments(SEEDS[0], schema)
    assert list(made) == schema["required"]
    kinds = {name: type(value) for name, value in made.items()}
    assert kinds == {
        "city": str, "days": int, "wind": float, "rain": bool, "unit": str, "places": list, "options": dict,
        "undeclared": str,
    }  # fmt: skip
    assert made["unit"] in ("C", "F")


def test_a_schema_without_requirements_needs_no_arguments() -> None:
    assert arguments(SEEDS[0], {}) == {}


def test_dice_reach_every_face_and_samples_have_no_repeats() -> None:
    dice = Dice("seed")
    assert {dice.below(6) for _ in range(200)} == set(range(6))
    assert sorted(dice.sample("abc", 5)) == ["a", "b", "c"]

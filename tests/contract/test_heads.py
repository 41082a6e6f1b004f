"""The heads a policy needs, with the encoder that ships."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from router_extproc.app.mind import Mind
from router_extproc.base.errors import ModelError
from router_extproc.encoder.classifier import ClassifierOptions
from router_extproc.encoder.loading import Base, ByExamples, ByModel, load_heads
from router_extproc.encoder.prototypes import NONE
from tests.support.classifier import write_classifier
from tests.support.encoder import real_bundle, real_encoder, real_screener

CASES = Path(__file__).parents[2] / "training" / "complexity_cases.jsonl"
DESK = ByExamples(
    "desk",
    {
        "refund": ["I want my money back", "Please refund my order", "How do I get a refund?"],
        "bug": ["The app crashes when I open it", "I get an error message", "The page does not load"],
    },
)


@pytest.fixture(scope="module")
def base() -> Base:
    bundle = real_bundle()
    return Base(bundle.base_revision, bundle.dimension, real_encoder().encode_many)


def test_only_what_is_needed_is_loaded(base: Base, tmp_path: Path) -> None:
    absent = ByModel("absent", tmp_path / "absent", ClassifierOptions())
    heads = load_heads({"domain", "desk"}, [DESK, absent], base)
    assert (list(heads.on_vector), list(heads.on_text)) == (["desk", "domain"], [])
    with pytest.raises(ModelError, match=r"absent: there is no config\.json"):
        load_heads({"absent"}, [DESK, absent], base)


def test_every_kind_can_be_loaded_and_has_an_identity(base: Base, tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "m")
    model = ByModel("model", folder, ClassifierOptions(max_tokens=16))
    needs = {"domain", "complexity", "language", "desk", "model"}
    heads = load_heads(needs, [DESK, model], base)
    assert set(heads.on_vector) == {"domain", "complexity", "desk"}
    assert set(heads.on_text) == {"language", "model"}
    assert list(heads.as_bytes()) == list(load_heads(needs, [DESK, model], base).as_bytes())
    assert len(list(heads.as_bytes())) == 10


def states(text: str) -> NDArray[np.float32]:
    return real_encoder().run(real_encoder().tokenise(text)).states


class BrokenHead:
    labels = ("el",)

    def probabilities(self, text: str) -> Mapping[str, float]:
        raise ZeroDivisionError

    def as_bytes(self) -> bytes:
        return b"broken"


def test_without_a_queue_too_a_head_that_fails_leaves_the_others_standing(base: Base) -> None:
    heads = load_heads({"desk"}, [DESK], base)
    mind = Mind(
        base.revision,
        real_encoder(),
        None,
        replace(heads, on_text={"language": BrokenHead()}),
        real_screener(),
    )
    analysis = mind.analyse("Can I have my money back?")
    assert (set(analysis.heads), analysis.failed) == ({"desk"}, ("language",))


def test_a_name_that_there_is_not_is_refused(base: Base) -> None:
    with pytest.raises(ModelError, match="none called 'desks'"):
        load_heads({"desks"}, [DESK], base)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Can I have my money back for this order?", "refund"),
        ("I would like a refund please", "refund"),
        ("The app keeps crashing on start", "bug"),
        ("There is an error when I load the page", "bug"),
        ("Who wrote Hamlet?", NONE),
        ("What is the integral of x squared?", NONE),
        ("Write a poem about autumn", NONE),
    ],
)
def test_examples_make_classes_and_unrelated_texts_are_none(base: Base, text: str, label: str) -> None:
    found = load_heads({"desk"}, [DESK], base).on_vector["desk"].probabilities(real_encoder().encode(text))
    assert found[label] >= 0.5


def test_the_shipped_complexity_head_tells_obvious_cases_apart(base: Base) -> None:
    """The cases were written before the head was fitted, which never saw them."""
    head = load_heads({"complexity"}, [], base).on_vector["complexity"]
    rows = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
    right = {"weak": 0, "strong": 0}
    for row in rows:
        found = head.probabilities(states(row["text"]))
        right[row["label"]] += found[row["label"]] > 0.5
    assert right["weak"] >= 95
    assert right["strong"] >= 95


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("What is the capital of France?", "weak"),
        ("Set a timer for ten minutes.", "weak"),
        (
            "Write a lock-free queue in C++20, prove it linearizable, and explain every memory order.",
            "strong",
        ),
    ],
)
def test_plain_prompts_are_easy_and_long_tasks_hard(base: Base, text: str, label: str) -> None:
    head = load_heads({"complexity"}, [], base).on_vector["complexity"]
    assert head.probabilities(states(text))[label] >= 0.6

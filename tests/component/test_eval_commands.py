"""`eval cache-pairs`, `eval cache-replay` and `cache calibrate` with the encoder that ships."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from router_extproc.app.calibrate import calibrate
from router_extproc.app.configuration import load
from router_extproc.app.evaluate import analyse, evaluate
from router_extproc.app.mind import Mind
from router_extproc.app.models import find_bundle
from router_extproc.base.errors import OperatorError
from router_extproc.settings.schema import CategoryCache
from tests.support.encoder import real_bundle, real_encoder
from tests.support.stack import write_configuration

HEAD = ["n", "threshold", "hit_rate", "precision", "recall", "false_hits", "curve"]
WEIGHT = "How can I lose weight quickly?"
WEIGHT_AGAIN = "How can I lose weight fast?"
LONG = "How can I lose weight quickly? " * 60

PAIRS = [
    {"a": WEIGHT, "b": WEIGHT_AGAIN, "same": True, "kind": "paraphrase"},
    {"a": WEIGHT, "b": WEIGHT, "same": True, "kind": "equal"},
    {"a": LONG, "b": LONG + "And how do I keep it?", "same": True, "kind": "long"},
    {"a": LONG, "b": LONG, "same": True, "kind": "equal"},
    {"a": "How do I enable two-factor login?", "b": "How do I disable two-factor login?", "same": 0},
    {"a": "What is the capital of France?", "b": "How deep is the Atlantic Ocean?", "same": 0},
]
REPLAY: list[Mapping[str, Any]] = [
    {"put": WEIGHT, "id": 1, "at": "09:00"},
    {"put": "What is the capital of France?", "id": 2},
    {"ask": WEIGHT_AGAIN, "expect": 1},
    {"ask": "What is the capital of France?", "expect": 2},
    {"ask": "What is the capital city of France?", "expect": None},
    {"ask": "How deep is the Atlantic Ocean?", "expect": None},
    {"put": "How deep is the Atlantic Ocean?", "id": 3},
    {"ask": "How deep is the Atlantic Ocean?", "expect": 3},
    {"put": LONG, "id": 4},
    {"ask": LONG + "And how do I keep it?", "expect": 4},
]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    real_bundle()
    folder = tmp_path_factory.mktemp("eval")
    return write_configuration(folder, semantic_cache={"similarity_threshold": 0.85})


@pytest.fixture
def lines(tmp_path: Path) -> Callable[[Sequence[Mapping[str, Any]]], Path]:
    def write(rows: Sequence[Mapping[str, Any]]) -> Path:
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


Lines = Callable[[Sequence[Mapping[str, Any]]], Path]


def test_pairs_are_hits_when_they_mean_the_same(
    config: Path, lines: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(config, "cache-pairs", lines(PAIRS), as_json=True) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert list(document)[:7] == HEAD
    assert (document["n"], document["threshold"], document["same"]) == (6, 0.85, 4)
    assert document["hit_rate"] == 3 / 6
    assert (document["precision"], document["recall"], document["false_hits"]) == (1.0, 3 / 4, 0)
    assert document["refused"] == {"opposite": {"same": 0, "different": 1}}
    assert document["kinds"]["long"]["hits"] == 0
    shipped = next(point for point in document["curve"] if point["threshold"] == 0.85)
    assert {key: shipped[key] for key in HEAD[2:6]} == {key: document[key] for key in HEAD[2:6]}
    assert shipped["without_guard"]["false_hits"] == 1
    assert "8 texts in" in err
    assert WEIGHT not in out + err


def test_the_pairs_table_has_both_sides_and_the_kinds(
    config: Path, lines: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(config, "cache-pairs", lines(PAIRS), as_json=False) == 0
    out = capsys.readouterr().out
    assert out.startswith("pairs 6  same 4\nas shipped, threshold 0.85: hit rate 0.5000  precision 1.0000")
    assert any(line.startswith("0.850") and line.endswith("<") for line in out.splitlines())
    assert "paraphrase" in out
    assert WEIGHT not in out


def test_a_replay_answers_in_order(config: Path, lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    """Two exact hits, one of which only after its put; a paraphrase; one answer that nobody expected."""
    assert evaluate(config, "cache-replay", lines(REPLAY), as_json=True) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert list(document)[:7] == HEAD
    assert (document["n"], document["puts"], document["expected"], document["exact"]) == (6, 4, 4, 2)
    assert document["hit_rate"] == 4 / 6
    assert (document["precision"], document["recall"], document["false_hits"]) == (3 / 4, 3 / 4, 1)
    shipped = next(point for point in document["curve"] if point["threshold"] == 0.85)
    assert {key: shipped[key] for key in HEAD[2:6]} == {key: document[key] for key in HEAD[2:6]}
    assert "6 asks in" in err
    assert WEIGHT not in out + err


def test_a_replay_that_expects_the_unknown_names_its_line(config: Path, lines: Lines) -> None:
    with pytest.raises(OperatorError, match=r"rows\.jsonl:11: expects an id"):
        evaluate(config, "cache-replay", lines([*REPLAY, {"ask": WEIGHT, "expect": 9}]), as_json=True)


def _with_categories(
    config: Path, folder: Path, settings: Mapping[str, Mapping[str, Any]]
) -> dict[str, CategoryCache]:
    """The categories of `config` as they load with `settings` merged into them."""
    categories = yaml.safe_load(config.read_text())["categories"]
    merged = [
        each | ({"semantic_cache": settings[each["name"]]} if each["name"] in settings else {})
        for each in categories
    ]
    loaded = load(write_configuration(folder, categories=merged)).settings
    return {each.name: each.semantic_cache for each in loaded.categories}


def test_calibration_gives_a_configuration(
    config: Path, lines: Lines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the lookalikes that the guard lets pass, every one costs hits."""
    rows = [
        {"a": WEIGHT, "b": WEIGHT_AGAIN, "same": 1, "category": "health"},
        {"a": WEIGHT, "b": "How can I lose my accent quickly?", "same": 0, "category": "health"},
        {"a": "What is the best oven for bread?", "b": "What is the best flour for bread?", "same": 0},
        {"a": WEIGHT, "b": WEIGHT, "same": 1},
    ]
    path = lines(rows)
    assert calibrate(config, path, 0.99, min_pairs=1, as_json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["n"], document["exact"]) == (3, 1)
    by_name = {each["category"]: each for each in document["categories"]}
    health = by_name.pop("health")
    assert (health["precision"], health["recall"], health["hit_rate"]) == (1.0, 1.0, 0.5)
    ((_, bread),) = by_name.items()
    assert (bread["mode"], bread["threshold"], bread["hit_rate"]) == ("exact", None, 0.0)
    snippet = yaml.safe_load(document["yaml"])["categories"]
    settings = {each["name"]: each["semantic_cache"] for each in snippet}
    assert settings["health"] == {"mode": "semantic", "similarity_threshold": health["threshold"]}
    assert calibrate(config, path, 0.99, min_pairs=1, as_json=False) == 0
    out = capsys.readouterr().out
    assert document["yaml"] in out
    assert _with_categories(config, tmp_path, settings)["health"].similarity_threshold == health["threshold"]
    assert WEIGHT not in out


def test_texts_are_encoded_side_by_side_as_one_by_one(config: Path) -> None:
    configuration = load(config)
    mind = Mind.load(find_bundle(configuration.settings), configuration)
    texts = [
        f"{word} many questions fit in {number} boxes?" for word in ("How", "Why") for number in range(20)
    ]
    analyses = analyse(mind, texts)
    assert set(analyses) == set(texts)
    for text in texts:
        assert np.array_equal(analyses[text].vector, real_encoder().encode(text))

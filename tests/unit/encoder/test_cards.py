"""Cards in files of weights: written, read, and completed from what the file says elsewhere."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from router_extproc.base.errors import ModelError
from router_extproc.encoder.cards import Card, TrainingSet, read_head, read_heads, write_card

WEIGHT = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3)}


def _file(folder: Path, metadata: dict[str, str], name: str = "guard") -> Path:
    path = folder / f"{name}.safetensors"
    path.write_bytes(safetensors.numpy.save(WEIGHT, metadata=metadata))
    return path


def test_a_card_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = _file(tmp_path, {"labels": '["a", "b"]', "temperature": "0.72", "base_revision": "1110"})
    card = Card(
        reads="features",
        calibration="temperature, on held-out rows",
        threshold=0.5,
        labels=("a", "b"),
        fitted_on=(TrainingSet(name="set", rows=3, source="there", licence="MIT"),),
        figures={"eval/x": {"auc": 0.9}},
        licence="Apache-2.0",
        limits=("English.",),
        report="training/REPORT.md",
    )
    write_card(path, card)
    head = read_head(path)
    assert (head.name, head.file, head.base_revision) == ("guard", "guard.safetensors", "1110")
    assert head.card == card
    assert head.size == path.stat().st_size
    assert np.array_equal(safetensors.numpy.load(path.read_bytes())["weight"], WEIGHT["weight"])


def test_equal_cards_give_equal_bytes(tmp_path: Path) -> None:
    """The library itself writes the keys in another order each time."""
    contents = set()
    for _ in range(8):
        path = _file(tmp_path, {name: name for name in "abcdef"})
        write_card(path, Card(licence="Apache-2.0 …"))
        contents.add(path.read_bytes())
    assert len(contents) == 1
    assert int.from_bytes(contents.pop()[:8], "little") % 8 == 0


def test_a_file_without_a_card_says_what_its_loader_needs(tmp_path: Path) -> None:
    facts = {"base_revision": "1110", "fitted_on": "One, Two", "threshold": 0.95, "types": ["AGE"]}
    head = read_head(_file(tmp_path, {"trunk": json.dumps(facts), "temperature": "0.5", "reads": "features"}))
    assert (head.base_revision, head.card.threshold, head.card.labels) == ("1110", 0.95, ("AGE",))
    assert head.card.fitted_on == (TrainingSet(name="One"), TrainingSet(name="Two"))
    assert (head.card.calibration, head.card.reads) == ("temperature 0.5", "features")


def test_the_card_wins_over_the_facts(tmp_path: Path) -> None:
    path = _file(tmp_path, {"v": json.dumps({"threshold": 0.95, "base_revision": "1110"})})
    write_card(path, Card(threshold=0.7))
    assert read_head(path).card.threshold == 0.7
    assert read_head(path).base_revision == "1110"


def test_a_revision_of_digits_alone_is_still_text(tmp_path: Path) -> None:
    assert read_head(_file(tmp_path, {"base_revision": "1110"})).base_revision == "1110"


def test_heads_come_by_name_and_go_into_a_manifest(tmp_path: Path) -> None:
    for name in ("b", "a"):
        _file(tmp_path, {}, name)
    (tmp_path / "notes.txt").write_text("no head")
    heads = read_heads(tmp_path)
    assert [head.name for head in heads] == ["a", "b"]
    document = json.loads(json.dumps(heads[0].as_json()))
    assert document["file"] == "a.safetensors"
    assert len(document["sha256"]) == 64


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff" * 64])
def test_a_file_that_is_no_weights_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"a\.safetensors: not a head's weights"):
        read_heads(tmp_path)
    with pytest.raises(ModelError, match=r"a\.safetensors: not a head's weights"):
        write_card(path, Card())


@pytest.mark.parametrize("card", ["nonsense", '{"threshold": "high"}', "[]"])
def test_a_card_of_another_form_is_named(tmp_path: Path, card: str) -> None:
    with pytest.raises(ModelError, match="not a head's weights"):
        read_head(_file(tmp_path, {"card": card}))


def test_what_ships_can_be_read() -> None:
    heads = {head.name: head for head in read_heads()}
    assert {"domain", "complexity", "verifier"} <= heads.keys()
    assert len(heads["domain"].card.labels) == 14
    assert len({head.base_revision for head in heads.values()}) == 1

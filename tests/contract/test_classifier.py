"""A Hugging Face model in a folder: what it says, how it reads long texts, and what is refused at load."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from router_extproc.base.errors import ModelError
from router_extproc.encoder.batcher import BatchingAnalyst
from router_extproc.encoder.classifier import MAX_WINDOWS, ClassifierOptions, Combine, open_classifier
from tests.support.classifier import LABELS, write_classifier
from tests.support.encoder import real_encoder

OPTIONS = ClassifierOptions(max_tokens=12)
DEADLINE = 30.0


def _softmax(*logits: float) -> list[float]:
    powers = np.exp(np.array(logits))
    return list(powers / powers.sum())


def _words(count: int, **places: tuple[int, ...]) -> str:
    """`count` words that mean nothing, but for those at `places`."""
    at = {place: word for word, found in places.items() for place in found}
    return " ".join(at.get(place, "the") for place in range(count))


def test_probabilities_are_the_softmax_of_the_logits_under_the_labels_of_the_configuration(
    tmp_path: Path,
) -> None:
    classifier = open_classifier(write_classifier(tmp_path / "m"), OPTIONS)
    found = classifier.probabilities("The refund, thanks!")
    assert classifier.labels == LABELS
    assert list(found) == list(LABELS)
    assert list(found.values()) == pytest.approx(_softmax(4, 0, 4))


def test_a_model_of_which_several_labels_may_hold_gives_independent_probabilities(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "m", problem_type="multi_label_classification")
    found = open_classifier(folder, OPTIONS).probabilities("refund crash")
    assert list(found.values()) == pytest.approx([1 / (1 + np.exp(-4))] * 2 + [0.5])


@pytest.mark.parametrize("place", ["model.onnx", "onnx/model.onnx", "model_quantized.onnx", "onnx/int8.onnx"])
def test_the_graph_is_found_in_the_folder_or_in_onnx(tmp_path: Path, place: str) -> None:
    classifier = open_classifier(write_classifier(tmp_path / "m", place=place), OPTIONS)
    assert classifier.probabilities("crash")["technical"] > 0.9


def test_of_several_graphs_the_one_called_model_is_meant(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "m")
    (folder / "model_fp16.onnx").write_bytes(b"not this one")
    assert open_classifier(folder, OPTIONS).probabilities("crash")["technical"] > 0.9


@pytest.mark.parametrize("inputs", [("input_ids",), ("input_ids", "attention_mask")])
@pytest.mark.parametrize("integer", [TensorProto.INT64, TensorProto.INT32])
def test_only_the_inputs_that_the_graph_has_are_fed(
    tmp_path: Path, inputs: tuple[str, ...], integer: int
) -> None:
    folder = write_classifier(tmp_path / "m", inputs=inputs, integer=integer, output="scores")
    assert open_classifier(folder, OPTIONS).probabilities("crash")["technical"] > 0.9


@pytest.mark.parametrize(
    ("combine", "expected"),
    [("max", (0.5, 0.5)), ("mean", (0.25, 0.75))],
)
def test_windows_of_a_long_text_are_combined(
    tmp_path: Path, combine: Combine, expected: tuple[float, float]
) -> None:
    """Ten words a window, of which two overlap: four windows, in the first of which is the only refund."""
    folder = write_classifier(tmp_path / "m", scale=10.0)
    classifier = open_classifier(folder, ClassifierOptions(max_tokens=12, combine=combine))
    found = classifier.probabilities(_words(34, refund=(0,), crash=(12, 20, 28)))
    assert (found["billing"], found["technical"]) == pytest.approx(expected, abs=1e-3)


def test_a_word_across_a_border_is_seen_once_or_twice_and_never_missed(tmp_path: Path) -> None:
    classifier = open_classifier(write_classifier(tmp_path / "m", scale=10.0), OPTIONS)
    for place in range(60):
        words = ["the"] * 60
        words[place] = "crash"
        found = classifier.probabilities(" ".join(words))
        assert max(found, key=lambda label: found[label]) == "technical"


def test_the_cost_of_a_huge_text_has_a_bound(tmp_path: Path) -> None:
    classifier = open_classifier(write_classifier(tmp_path / "m"), OPTIONS)
    assert len(classifier._windows("the " * 1_000_000)) == MAX_WINDOWS
    assert classifier.probabilities("the " * 1_000_000)["praise"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("text", ["", " \n", "\ud800", "\x00", "漢字"])
def test_any_text_has_probabilities(tmp_path: Path, text: str) -> None:
    found = open_classifier(write_classifier(tmp_path / "m"), OPTIONS).probabilities(text)
    assert sum(found.values()) == pytest.approx(1)


def test_a_special_token_in_a_text_is_only_text(tmp_path: Path) -> None:
    classifier = open_classifier(write_classifier(tmp_path / "m"), OPTIONS)
    (window,) = classifier._windows("refund [SEP]")
    assert window.tokens.count("[SEP]") == 1


def test_the_window_is_no_larger_than_the_model(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "m", max_positions=20)
    assert open_classifier(folder, ClassifierOptions(max_tokens=256)).max_tokens == 20


def test_equal_files_have_equal_bytes_and_others_do_not(tmp_path: Path) -> None:
    first, second = (open_classifier(write_classifier(tmp_path / x), OPTIONS) for x in "ab")
    other = open_classifier(write_classifier(tmp_path / "c", scale=2.0), OPTIONS)
    wider = open_classifier(tmp_path / "a", ClassifierOptions(max_tokens=16))
    assert first.as_bytes() == second.as_bytes()
    assert len({first.as_bytes(), other.as_bytes(), wider.as_bytes()}) == 3


async def test_the_analyst_asks_it_beside_the_heads_on_the_vector(tmp_path: Path) -> None:
    classifier = open_classifier(write_classifier(tmp_path / "m"), OPTIONS)
    analyst = BatchingAnalyst(real_encoder(), {}, text_heads={"desk": classifier})
    await analyst.start()
    async with asyncio.timeout(DEADLINE):
        analysis = await analyst.analyse("crash")
    await analyst.close()
    assert analysis.heads == {"desk": classifier.probabilities("crash")}


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _no_graph(folder: Path) -> None:
    (folder / "model.onnx").unlink()


def _two_graphs(folder: Path) -> None:
    (folder / "model.onnx").rename(folder / "a.onnx")
    (folder / "b.onnx").write_bytes(b"")


def _no_tokeniser(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


def _broken_graph(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"no graph")


def _change(key: str, value: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))

    return change


def _own_code(folder: Path) -> None:
    """Code that would leave a file behind."""
    (folder / "own.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\nclass Own: pass\n")
    _change("auto_map", {"AutoConfig": "own.Own"})(folder)
    _change("model_type", "own")(folder)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_no_config, "there is no config.json"),
        (_no_graph, r"there is no \.onnx file in it or in onnx/"),
        (_two_graphs, r"which of a\.onnx, b\.onnx is meant\? Name it model\.onnx"),
        (_no_tokeniser, "tokeniser"),
        (_broken_graph, "onnxruntime cannot load it"),
        (_change("problem_type", "regression"), "a regression model gives no probabilities"),
        (_change("id2label", {"0": "only"}), "id2label"),
        (_change("id2label", {"0": "same", "1": "same", "2": "c"}), "id2label"),
        (_change("id2label", {"0": "a", "1": "b"}), r"logits of shape \(3,\), but config.json has 2 labels"),
        (_own_code, "config.json or the tokeniser cannot be loaded"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused_by_name(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    folder = write_classifier(tmp_path / "desk")
    spoil(folder)
    with pytest.raises(ModelError, match=message) as raised:
        open_classifier(folder, OPTIONS)
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (folder / "ran").exists()


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "m", inputs=("input_ids", "position_ids"))
    with pytest.raises(ModelError, match="the input position_ids"):
        open_classifier(folder, OPTIONS)


def test_logits_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "m", scale=float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        open_classifier(folder, OPTIONS)


def test_a_window_without_room_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no room for text"):
        open_classifier(write_classifier(tmp_path / "m"), ClassifierOptions(max_tokens=3))


def test_a_path_that_is_no_folder_is_refused_and_nothing_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no config\.json"):
        open_classifier(Path("bert-base-uncased"), OPTIONS)


def test_labels_get_the_names_that_are_given_and_several_may_be_one(tmp_path: Path) -> None:
    options = ClassifierOptions(12, labels={"billing": "money", "praise": "money"})
    classifier = open_classifier(write_classifier(tmp_path / "m"), options)
    assert classifier.labels == ("money", "technical")
    found = classifier.probabilities("refund thanks")
    shares = _softmax(4, 0, 4)
    assert list(found.values()) == pytest.approx([shares[0] + shares[2], shares[1]])
    folder = write_classifier(tmp_path / "n", problem_type="multi_label_classification")
    several = open_classifier(folder, options).probabilities("refund")
    assert list(several.values()) == pytest.approx([1 / (1 + np.exp(-4)), 0.5])
    plain = open_classifier(tmp_path / "m", OPTIONS)
    assert classifier.as_bytes() != plain.as_bytes()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"biling": "money"}, r"/m: labels: 'biling' is none of the model's \(billing, technical, praise\)"),
        (dict.fromkeys(LABELS, "all"), "every label is called 'all'"),
    ],
)
def test_names_that_do_not_fit_the_labels_are_refused(
    tmp_path: Path, labels: dict[str, str], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        open_classifier(write_classifier(tmp_path / "m"), ClassifierOptions(12, labels=labels))

"""A Hugging Face token classification model in a folder: where it finds what, over windows too, and what is
refused at load."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from router_extproc.base.errors import ModelError
from router_extproc.encoder.passage import Passage
from router_extproc.encoder.session import Reading, Tokens
from router_extproc.encoder.token_classifier import (
    SUREST,
    TokenClassifier,
    TokenOptions,
    open_token_classifier,
)
from router_extproc.screening.spans import PiiSpan, Source
from tests.support.classifier import write_classifier
from tests.support.token_classifier import BIO, SURE, write_token_classifier

SHORT = TokenOptions(max_tokens=18)
"""Sixteen words and two special tokens; windows share four."""

BIOES: Mapping[str, str] = {
    "anna": "B-PER",
    "van": "I-PER",
    "lee": "E-PER",
    "bob": "S-PER",
    "paris": "S-LOC",
    "met": "O",
}
PLAIN: Mapping[str, str] = {"anna": "PERSON", "lee": "PERSON", "@": "E-MAIL", "met": "O"}


def _unread(text: str) -> list[tuple[Tokens, Reading]]:
    raise AssertionError("the encoder is not asked")


def found(classifier: TokenClassifier, text: str, start: int = 0) -> list[tuple[str, str]]:
    spans = classifier.spans(Passage(text, start, _unread))
    return [(text[span.start - start : span.end - start], span.type) for span in spans]


def opened(
    folder: Path, words: Mapping[str, str] = BIO, options: TokenOptions = SHORT, *, spaced: bool = False
) -> TokenClassifier:
    return open_token_classifier(write_token_classifier(folder, words, spaced=spaced), options)


def test_bio_labels_become_spans_of_the_router_s_types(tmp_path: Path) -> None:
    classifier = opened(tmp_path / "m")
    assert found(classifier, "Anna Lee met Bob in Paris.") == [
        ("Anna Lee", "PERSON"),
        ("Bob", "PERSON"),
        ("Paris", "GPE"),
    ]
    assert found(classifier, "met in the") == found(classifier, "") == []


def test_bioes_tells_where_neighbours_end(tmp_path: Path) -> None:
    classifier = opened(tmp_path / "m", BIOES)
    assert found(classifier, "anna van lee bob paris met anna lee") == [
        ("anna van lee", "PERSON"),
        ("bob", "PERSON"),
        ("paris", "GPE"),
        ("anna lee", "PERSON"),
    ]
    # An end ends a span, also where what follows does not begin one.
    assert found(classifier, "anna lee van") == [("anna lee", "PERSON"), ("van", "PERSON")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("anna bob", ["anna", "bob"]), ("anna lee", ["anna lee"]), ("lee met lee lee", ["lee", "lee lee"])],
)
def test_in_bio_a_span_ends_where_the_next_begins(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert [span for span, _ in found(opened(tmp_path / "m"), text)] == expected


def test_labels_without_a_scheme_join_neighbours(tmp_path: Path) -> None:
    assert found(opened(tmp_path / "m", PLAIN), "anna lee met @") == [
        ("anna lee", "PERSON"),
        ("@", "EMAIL_ADDRESS"),
    ]


def test_the_pieces_of_a_word_are_judged_together(tmp_path: Path) -> None:
    classifier = opened(tmp_path / "m")
    assert found(classifier, "margot met") == [("margot", "PERSON")]
    assert found(classifier, "margotous met") == [("margotous", "PERSON")]
    # One piece of three: the word is none, and no part of it.
    assert found(classifier, "marousous met") == []


def test_the_score_is_the_mean_probability_of_the_type_over_the_tokens(tmp_path: Path) -> None:
    classifier = opened(tmp_path / "m")
    (span,) = classifier.spans(Passage("margotous", 0, _unread))
    # Two labels are PER, of four: O, B-PER, I-PER, B-LOC.
    sure, unsure = (np.exp(SURE) + 1) / (np.exp(SURE) + 3), 2 / (np.exp(SURE) + 3)
    assert span.score == pytest.approx((2 * sure + unsure) / 3)
    assert span == PiiSpan(0, 9, "PERSON", span.score, Source.HEAD)


def test_a_model_is_never_as_sure_as_a_check_digit(tmp_path: Path) -> None:
    classifier = open_token_classifier(write_token_classifier(tmp_path / "m", sure=60.0), SHORT)
    (span,) = classifier.spans(Passage("anna", 0, _unread))
    assert span.score == SUREST < 1


@pytest.mark.parametrize(
    "text",
    ["Àñná met ANNA", "😀 anna 😀 anna", "\ud800 anna\n\tanna ", "漢anna字 anna", "e\u0301 anna, a\u0300nna"],
)
def test_offsets_are_those_of_the_characters(tmp_path: Path, text: str) -> None:
    spans = found(opened(tmp_path / "m"), text)
    plain = [
        "".join(letter for letter in span.lower() if letter in "anáàñ").translate(str.maketrans("áàñ", "aan"))
        for span, _ in spans
    ]
    assert plain == ["anna", "anna"]
    assert all(span == span.strip() for span, _ in spans)


def test_a_tokeniser_that_counts_spaces_to_words_and_adds_nothing(tmp_path: Path) -> None:
    classifier = opened(tmp_path / "m", spaced=True)
    assert found(classifier, "met  anna lee met ") == [("anna lee", "PERSON")]
    assert found(classifier, "") == found(classifier, " \n") == []


@pytest.mark.parametrize(
    ("letters", "more"),
    # The tokeniser makes a word of each ideograph, and one of all Thai letters.
    [("李安在京", ""), ("กขคง", "##")],
)
def test_characters_without_spaces_between_words_are_judged_one_by_one(
    tmp_path: Path, letters: str, more: str
) -> None:
    first, second, third, fourth = tuple(letters)
    words = {first: "B-PER", more + second: "I-PER", more + third: "O", more + fourth: "B-LOC"}
    assert found(opened(tmp_path / "m", words), letters) == [(first + second, "PERSON"), (fourth, "GPE")]


def test_offsets_count_from_the_beginning_of_the_larger_text(tmp_path: Path) -> None:
    (span,) = opened(tmp_path / "m").spans(Passage("met anna", 1000, _unread))
    assert (span.start, span.end) == (1004, 1008)


@pytest.mark.parametrize("spaced", [False, True])
def test_a_name_is_found_once_wherever_it_stands(tmp_path: Path, spaced: bool) -> None:
    classifier = opened(tmp_path / "m", spaced=spaced)
    for place in range(70):
        words = ["met"] * 72
        words[place : place + 2] = ["anna", "lee"]
        spans = classifier.spans(Passage(" ".join(words), 0, _unread))
        assert [(span.start, span.end) for span in spans] == [(4 * place, 4 * place + 8)]


def test_of_two_windows_the_one_that_sees_more_around_a_token_counts(tmp_path: Path) -> None:
    """The model sees nothing in the first and last two tokens of a window, of which four are shared."""
    folder = write_token_classifier(tmp_path / "m", blind=2)
    classifier = open_token_classifier(folder, SHORT)
    for place in range(2, 68):
        words = ["met"] * 70
        words[place] = "anna"
        assert found(classifier, " ".join(words)) == [("anna", "PERSON")]


def test_a_span_may_be_longer_than_a_window(tmp_path: Path) -> None:
    text = "anna " + "lee " * 50
    assert found(opened(tmp_path / "m"), text + "met") == [(text.strip(), "PERSON")]


@pytest.mark.parametrize("place", ["model.onnx", "onnx/model.onnx", "model_quantized.onnx"])
def test_the_graph_is_found_in_the_folder_or_in_onnx(tmp_path: Path, place: str) -> None:
    folder = write_token_classifier(tmp_path / "m", place=place)
    assert found(open_token_classifier(folder, SHORT), "anna") == [("anna", "PERSON")]


def test_labels_are_mapped_whole_or_without_their_prefix(tmp_path: Path) -> None:
    folder = write_token_classifier(tmp_path / "m", rename={"B-LOC": "B-MISC", "O": "LABEL_0"})
    options = TokenOptions(18, {"MISC": "ORGANIZATION", "LABEL_0": "O", "I-PER": "O"})
    classifier = open_token_classifier(folder, options)
    assert found(classifier, "anna lee in paris") == [("anna", "PERSON"), ("paris", "ORGANIZATION")]


def test_equal_files_and_labels_have_equal_bytes_and_others_do_not(tmp_path: Path) -> None:
    first, second = opened(tmp_path / "a"), opened(tmp_path / "b")
    mapped = open_token_classifier(tmp_path / "a", TokenOptions(18, {"LOC": "STREET_ADDRESS"}))
    wider = open_token_classifier(tmp_path / "a", TokenOptions(20))
    other = opened(tmp_path / "c", {**BIO, "met": "B-PER"})
    assert first.as_bytes() == second.as_bytes()
    assert len({each.as_bytes() for each in (first, mapped, wider, other)}) == 4


def _change(key: str, value: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))

    return change


def _no_graph(folder: Path) -> None:
    (folder / "model.onnx").unlink()


def _sequence_model(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    write_classifier(folder, labels=("B-PER", "I-PER", "O"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), r"there is no config\.json"),
        (_no_graph, r"there is no \.onnx file"),
        (_sequence_model, r"gives logits of shape \(3,\).* for which it is \(3, 3\)"),
        (_change("id2label", {"0": "B-PER", "1": "O"}), r"shape \(3, 4\).* has 2 labels"),
        (_change("id2label", {"0": "B-PER", "1": "I-PER", "2": "B-MISC", "3": "O"}), "what MISC is"),
        (_change("id2label", {"0": "B-PER", "1": "I-PER", "2": "B-LOC", "3": "B-ORG"}), "map one to O"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused_by_name(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    folder = write_token_classifier(tmp_path / "names")
    spoil(folder)
    with pytest.raises(ModelError, match=message) as raised:
        open_token_classifier(folder, SHORT)
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_logits_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    folder = write_token_classifier(tmp_path / "m", sure=float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        open_token_classifier(folder, SHORT)

"""The model card says what the files say, and what they do not say."""

from router_extproc.app.model_card import card_of
from router_extproc.encoder.cards import Card, Head, TrainingSet

CARD = Card(
    reads="features",
    labels=("benign", "jailbreak"),
    threshold=0.5,
    fitted_on=(
        TrainingSet(name="own prompts", rows=12, source="written here", licence="Apache-2.0"),
        TrainingSet(name="a|b"),
    ),
    figures={"eval/one": {"auc": 0.97}},
    limits=("English only.",),
)


def _head(card: Card) -> Head:
    return Head("guard", "guard.safetensors", "ab" * 32, 1234, "rev", card)


def test_a_heads_card_has_what_its_file_says() -> None:
    text = card_of([_head(CARD)], whole=False)
    assert text.startswith("## guard\n\n- English only.\n")
    for line in (
        "| labels | benign, jailbreak |",
        "| threshold | 0.5 |",
        "| own prompts | 12 | written here | Apache-2.0 |",
        "Measured on eval/one:",
        "| auc | 0.97 |",
        "| licence | the file does not say |",
    ):
        assert line in text.splitlines()
    assert "Base model" not in text


def test_a_bar_in_a_name_does_not_end_its_cell() -> None:
    assert "| a\\|b |" in card_of([_head(CARD)], whole=False)


def test_the_whole_card_begins_with_the_limits_and_names_the_base() -> None:
    text = card_of([_head(Card())], whole=True)
    assert text.index("## Limits") < text.index("## Base model") < text.index("## guard")
    assert "Apache-2.0" in text
    assert "Fitted on" not in text

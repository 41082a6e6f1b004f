"""Each signal by itself."""

import time
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest

from router_extproc.routing.facts import Facts
from router_extproc.routing.signals import (
    EDGE,
    Bounds,
    ComplexitySignal,
    ContextSignal,
    ConversationSignal,
    EmbeddingSignal,
    Evidence,
    Keyword,
    KeywordSignal,
    LabelSignal,
    Level,
    Prototypes,
    Reading,
    Signal,
    StructureSignal,
)
from tests.support.policies import analysis


def seen(signal: Signal, text: str = "", **changes: Any) -> Evidence:
    """What a signal says of a text, with facts and an analysis as given."""
    given = changes.pop("analysis", None)
    return signal.evaluate(Reading(Facts(text, **changes), given))


def keywords(operator: Literal["AND", "OR", "NOR"], *words: str) -> KeywordSignal:
    return KeywordSignal("k", operator, tuple(Keyword.of(word, case_sensitive=False) for word in words))


def test_any_keyword_is_enough_for_or_and_more_are_surer() -> None:
    signal = keywords("OR", "refund", "invoice")
    assert seen(signal, "A refund, please") == Evidence(True, 0.75, "1 of 2 keywords")
    assert seen(signal, "refund the invoice").confidence == 1.0
    assert not seen(signal, "hello").matched


def test_and_needs_all_keywords_and_nor_none() -> None:
    assert not seen(keywords("AND", "refund", "invoice"), "refund").matched
    assert seen(keywords("AND", "refund", "invoice"), "refund invoice") == Evidence(
        True, 1.0, "2 of 2 keywords"
    )
    assert not seen(keywords("NOR", "refund"), "refund").matched
    assert seen(keywords("NOR", "refund"), "hello") == Evidence(True, 1.0, "0 of 1 keywords")


def test_case_counts_where_it_is_said_to() -> None:
    signal = KeywordSignal("k", "OR", (Keyword.of("IT", case_sensitive=True),), case_sensitive=True)
    assert seen(signal, "IT").matched
    assert not seen(signal, "it").matched


CANDIDATES = np.array([[1, 0], [0, 1]], np.float32)


@pytest.mark.parametrize(("aggregation", "value"), [("max", 0.8), ("any", 0.8), ("mean", 0.7)])
def test_an_embedding_signal_compares_with_its_candidates(aggregation: Any, value: float) -> None:
    near = analysis(vector=(0.6, 0.8))
    for threshold, matched in ((value - 0.01, True), (value + 0.01, False)):
        signal = EmbeddingSignal("e", threshold, CANDIDATES, aggregation)
        found = seen(signal, analysis=near)
        assert found.matched is matched
        assert found.confidence == pytest.approx(value)


def test_the_opposite_of_a_candidate_has_no_confidence() -> None:
    assert (
        seen(EmbeddingSignal("e", 0.0, CANDIDATES[:1]), analysis=analysis(vector=(-1, 0))).confidence == 0.0
    )


def test_a_label_signal_asks_its_head_for_its_labels() -> None:
    signal = LabelSignal("domain", "science", "domain", ("math", "physics"), 0.5)
    heads = {"domain": {"math": 0.2, "physics": 0.5, "law": 0.3}}
    assert seen(signal, analysis=analysis(heads)) == Evidence(True, 0.5, "physics 0.5000")
    heads = {"domain": {"math": 0.4, "physics": 0.3, "law": 0.3}}
    assert not seen(signal, analysis=analysis(heads)).matched


def test_a_label_that_the_head_does_not_know_never_matches() -> None:
    assert not seen(
        LabelSignal("language", "fr", "language", ("fr",), 0.1), analysis=analysis({"language": {}})
    ).matched


@pytest.mark.parametrize(
    ("need", "level"), [(0.6, "hard"), (0.59, "medium"), (0.41, "medium"), (0.4, "easy")]
)
def test_the_complexity_head_gives_one_level(need: float, level: Level) -> None:
    told = analysis({"complexity": {"strong": need, "weak": 1 - need}})
    signals: dict[Level, ComplexitySignal] = {
        "hard": ComplexitySignal("c:hard", "hard", 0.6, 0.4),
        "medium": ComplexitySignal("c:medium", "medium", 0.6, 0.4),
        "easy": ComplexitySignal("c:easy", "easy", 0.6, 0.4),
    }
    matched = {name for name, signal in signals.items() if seen(signal, analysis=told).matched}
    assert matched == {level}


@pytest.mark.parametrize(
    ("vector", "level"), [((1, 0), "hard"), ((0, 1), "easy"), ((0.7, 0.7), "medium"), ((0.6, 0.51), "medium")]
)
def test_with_candidates_the_margin_gives_the_level(vector: tuple[float, float], level: Level) -> None:
    prototypes = Prototypes(CANDIDATES[:1], CANDIDATES[1:], 0.1)
    levels: tuple[Level, ...] = ("hard", "medium", "easy")
    matched = {
        each
        for each in levels
        if seen(
            ComplexitySignal(f"c:{each}", each, 0.6, 0.4, prototypes), analysis=analysis(vector=vector)
        ).matched
    }
    assert matched == {level}


LEARNED: list[Signal] = [
    EmbeddingSignal("e", 0.0, CANDIDATES),
    LabelSignal("domain", "math", "domain", ("math",), 0.0),
    LabelSignal("language", "de", "language", ("de",), 0.0),
    LabelSignal("classifier", "c", "tone", ("rude",), 0.0),
    ComplexitySignal("c:easy", "easy", 0.6, 0.4),
    ComplexitySignal("c:medium", "medium", 0.6, 0.4, Prototypes(CANDIDATES, CANDIDATES, 0.1)),
]


@pytest.mark.parametrize("signal", LEARNED, ids=lambda signal: f"{signal.kind} {signal.name}")
def test_a_learned_signal_does_not_match_without_an_analysis(signal: Signal) -> None:
    assert seen(signal) == Evidence(False, 0.0, "no analysis")


def test_a_head_that_is_not_there_does_not_match_and_is_named() -> None:
    assert seen(LEARNED[3], analysis=analysis({})) == Evidence(False, 0.0, "no tone head")
    assert seen(LEARNED[4], analysis=analysis({})) == Evidence(False, 0.0, "no complexity head")


def test_a_head_that_failed_does_not_match_and_is_named() -> None:
    said = replace(analysis({}), failed=("tone", "complexity"))
    assert seen(LEARNED[3], analysis=said) == Evidence(False, 0.0, "the tone head failed")
    assert seen(LEARNED[4], analysis=said) == Evidence(False, 0.0, "the complexity head failed")


def test_a_vector_that_is_not_the_texts_is_not_compared() -> None:
    unseen = replace(analysis(vector=(1, 0)), tokens=0)
    assert not seen(EmbeddingSignal("e", 0.0, CANDIDATES), analysis=unseen).matched


@pytest.mark.parametrize(("tokens", "matched"), [(999, False), (1000, True), (4000, True), (4001, False)])
def test_a_context_signal_includes_both_ends(tokens: int, matched: bool) -> None:
    assert seen(ContextSignal("c", 1000, 4000), prompt_tokens=tokens).matched is matched
    assert seen(ContextSignal("c", 0, None), prompt_tokens=tokens).matched


@pytest.mark.parametrize(
    ("bounds", "value", "holds"),
    [
        ({"gt": 2}, 2, False),
        ({"gt": 2}, 2.1, True),
        ({"gte": 2}, 2, True),
        ({"lt": 2}, 2, False),
        ({"lte": 2}, 2, True),
        ({"eq": 2}, 2, True),
        ({"eq": 2}, 3, False),
        ({"gte": 2, "lt": 4}, 4, False),
        ({"gte": 2, "lt": 4}, 3, True),
    ],
)
def test_bounds_hold_where_all_of_them_do(bounds: dict[str, float], value: float, holds: bool) -> None:
    assert Bounds(**bounds).hold(value) is holds


def test_structure_and_conversation_compare_counts() -> None:
    assert seen(StructureSignal("s", "question_marks", Bounds(gte=2)), "What? Why?") == Evidence(
        True, 1.0, "question_marks 2"
    )
    assert not seen(ConversationSignal("c", "user_turns", Bounds(gt=3)), user_turns=3).matched
    assert seen(ConversationSignal("c", "images", Bounds(gt=0)), images=2) == Evidence(True, 1.0, "images 2")


def test_of_a_very_long_text_both_ends_are_read() -> None:
    middle = "x" * EDGE
    text = f"first {middle} hidden {middle} last"
    assert seen(keywords("AND", "first", "last"), text).matched
    assert not seen(keywords("OR", "hidden"), text).matched
    assert seen(StructureSignal("s", "characters", Bounds(eq=len(text))), text).matched


def test_evidence_repeats_nothing_of_the_prompt() -> None:
    signals: list[Signal] = [keywords("OR", "zebra"), StructureSignal("s", "words", Bounds(gt=0)), *LEARNED]
    assert all("zebra" not in seen(signal, "zebra zebra").detail for signal in signals)


@pytest.mark.parametrize("piece", ["a", "a ", "-", "[", "1,", "```\n", "| ", "\t", "用", "\u0301", "ab-"])
def test_no_text_takes_long(piece: str) -> None:
    """Nothing is quadratic, and what is read is bounded."""
    text = (piece * 1_000_000)[:1_000_000]
    started = time.perf_counter()
    seen(keywords("AND", "ab-c", "credit card", "用户"), text)
    for feature in ("words", "json", "list_items", "table_rows", "code_blocks", "numbers", "uppercase_share"):
        seen(StructureSignal("s", feature, Bounds(gt=0)), text)
    assert time.perf_counter() - started < 5

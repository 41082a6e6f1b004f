"""The guards over texts of any length, with the encoder that ships."""

import base64
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_extproc.encoder.guards import TrunkAttacks, TrunkTagger
from router_extproc.encoder.heads import LinearHead, Reads
from router_extproc.encoder.screener import LEAST_CHARGE, Screener, ends_first, pieces_of
from router_extproc.encoder.session import OVERLAP, Reading, Tokens
from router_extproc.screening.reading import CHARACTERS_PER_TOKEN
from tests.support.encoder import guard_head, real_bundle, real_encoder, real_screener
from tests.support.guarded import ATTACK


class Counting:
    """The real encoder, counting its passes."""

    def __init__(self) -> None:
        self.passes = 0
        self.windows = real_encoder().windows
        self.tokenise = real_encoder().tokenise

    def run(self, tokens: Tokens) -> Reading:
        self.passes += 1
        return real_encoder().run(tokens)


def a_screener(max_tokens: int = 4096) -> tuple[Screener, Counting]:
    encoder = Counting()
    return Screener(encoder, TrunkAttacks(guard()), TrunkTagger(real_bundle().types), max_tokens), encoder


def guard() -> LinearHead:
    bundle = real_bundle()
    weight = np.zeros((2, Reads.FEATURES.width(384)), np.float32)
    return LinearHead(
        ("benign", "jailbreak"),
        weight,
        np.zeros(2, np.float32),
        1.0,
        bundle.base_revision,
        384,
        Reads.FEATURES,
    )


def test_what_was_read_is_not_read_again() -> None:
    screener, encoder = a_screener()
    tokens = encoder.tokenise("Where is my parcel?")
    reading = encoder.run(tokens)
    found = screener.screen("Where is my parcel?", (tokens, reading))
    assert (encoder.passes, found.attack, found.read, found.skipped) == (1, 0.5, 19, 0)
    assert screener.screen("Where is my parcel?") is found
    assert encoder.passes == 1


@pytest.mark.parametrize("words", [10, 253, 254, 255, 600, 2000])
def test_windows_cover_every_token_and_overlap(words: int) -> None:
    windows = real_encoder().windows("dog " * words)
    covered = [offset[0] for window in windows for offset in window.offsets if offset[1] > offset[0]]
    assert sorted(set(covered)) == [4 * place for place in range(words)]
    assert len(covered) == words + (len(windows) - 1) * OVERLAP
    assert [window.truncated for window in windows] == [True] * (len(windows) - 1) + [False]


def test_the_first_window_is_what_the_encoder_reads() -> None:
    text = "The parcel that I sent to my aunt has not arrived. " * 60
    assert real_encoder().windows(text)[0].ids == real_encoder().tokenise(text).ids


def test_a_longer_text_costs_no_more_than_the_budget() -> None:
    screener, encoder = a_screener(max_tokens=512)
    found = screener.screen("a parcel is late. " * 20_000)
    whole, encoder.passes = encoder.passes, 0
    screener.screen("a parcel is late! " * 40_000)
    assert whole == encoder.passes <= 12
    budget = 512 * CHARACTERS_PER_TOKEN
    assert 0.98 * budget <= found.read <= budget
    assert found.read + found.skipped == 18 * 20_000


@pytest.mark.parametrize("length", [0, 1, 99, 100, 101, 150, 1000, 12_345])
def test_pieces_are_in_order_disjoint_and_hold_both_ends(length: int) -> None:
    text = "".join(chr(33 + place % 90) for place in range(length))
    pieces = pieces_of(text, 100)
    assert all(text[piece.start : piece.start + len(piece.text)] == piece.text for piece in pieces)
    ends = [piece.start + len(piece.text) for piece in pieces]
    assert all(end <= later.start for end, later in zip(ends, pieces[1:], strict=False))
    assert (pieces[0].start, ends[-1]) == (0, length)
    assert sum(len(piece.text) for piece in pieces) == (length if length <= 100 else 99)


def test_spans_of_every_piece_are_where_they_are_in_the_whole_text() -> None:
    screener, _ = a_screener(max_tokens=512)
    mail = "write to anna.lee@example.com "
    text = mail + "a parcel is late. " * 5_000 + mail
    spans = [span for span in screener.screen(text).spans if span.type == "EMAIL_ADDRESS"]
    assert [text[span.start : span.end] for span in spans] == ["anna.lee@example.com"] * 2


def test_equal_screeners_have_equal_bytes() -> None:
    assert a_screener()[0].as_bytes() == a_screener()[0].as_bytes() != a_screener(100)[0].as_bytes()
    assert real_screener().as_bytes() != a_screener()[0].as_bytes()


def test_the_texts_of_a_request_share_one_budget() -> None:
    screener, _ = a_screener(max_tokens=100)
    found = screener.screen_all(("a" * 300, "b" * 150, "c" * 150, "d"))
    assert (found.read, found.skipped) == (301 + 150, 150)
    assert screener.screen_all(("a" * 9_000, "b")).skipped == 9_000 - 500 + 1


def test_many_small_texts_cost_no_more_passes_than_a_long_one() -> None:
    """Each takes a pass, however small it is: without a least charge these would be 5,000."""
    screener, encoder = a_screener(max_tokens=1000)
    found = screener.screen_all([f"m{number}" for number in range(5_000)])
    assert encoder.passes == 1000 * CHARACTERS_PER_TOKEN // LEAST_CHARGE
    assert found.read + found.skipped == sum(len(f"m{number}") for number in range(5_000))


def test_findings_of_a_part_are_not_those_of_the_whole() -> None:
    screener, _ = a_screener(max_tokens=2000)
    text = "a parcel is late. " * 200
    part, whole = screener.screen(text, budget=1_000), screener.screen(text)
    assert (part.read + part.skipped, whole.skipped) == (len(text), 0)
    assert part.skipped > 0


PADDING = "the parcel is late and the cat is on the mat. " * 300


def while_passes(encoder: Counting, most: int) -> Callable[[], bool]:
    return lambda: encoder.passes < most


def shipped() -> tuple[Screener, Counting]:
    encoder = Counting()
    return Screener(encoder, TrunkAttacks(guard_head()), TrunkTagger(real_bundle().types)), encoder


@pytest.mark.parametrize("text", [ATTACK + PADDING, PADDING + ATTACK], ids=["before", "behind"])
def test_padding_does_not_keep_the_guard_from_what_stands_at_an_end(text: str) -> None:
    screener, encoder = shipped()
    found = screener.screen(text, goes_on=while_passes(encoder, 2))
    assert encoder.passes == 2
    assert found.late
    assert found.attack is not None
    assert found.attack > 0.7
    assert 0 < found.read < len(text) == found.read + found.skipped


def test_what_was_read_in_part_is_not_taken_for_the_whole_later() -> None:
    screener, encoder = shipped()
    short = screener.screen(PADDING, goes_on=while_passes(encoder, 2))
    whole = screener.screen(PADDING)
    assert (short.late, whole.late, whole.skipped) == (True, False, 0)
    assert screener.screen(PADDING, goes_on=lambda: False) is whole


def test_texts_that_come_after_the_time_are_not_read_unless_they_are_known() -> None:
    screener, encoder = shipped()
    screener.screen(ATTACK)
    before = encoder.passes
    tokens = encoder.tokenise("Where is it?")
    found = screener.screen_all(
        ("Where is it?", "another text", ATTACK), (tokens, encoder.run(tokens)), lambda: False
    )
    assert encoder.passes == before + 1
    assert (found.late, found.read, found.skipped) == (True, 12 + len(ATTACK), 12)
    assert (found.attack_in, found.attack is not None and found.attack > 0.7) == (2, True)


def test_a_disguise_that_there_was_no_time_for_is_told() -> None:
    screener, encoder = shipped()
    text = f"What is {base64.b64encode(ATTACK.encode()).decode()}?"
    assert screener.screen(text, goes_on=while_passes(encoder, 1)).late
    found = screener.screen(text)
    assert not found.late
    assert found.attack is not None
    assert found.attack > 0.7


@given(st.lists(st.integers(), max_size=30))
def test_the_ends_come_first_and_everything_comes_once(items: list[int]) -> None:
    numbered = list(enumerate(items))
    ordered = list(ends_first(numbered))
    assert sorted(ordered) == sorted(numbered)
    assert ordered[:2] == [*numbered[:1], *numbered[1:][-1:]]

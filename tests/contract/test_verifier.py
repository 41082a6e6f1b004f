"""The real verifier: its judgement, its bounds, and what it refuses."""

import asyncio
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from router_extproc.base.errors import ModelError
from router_extproc.encoder.batcher import BatchingAnalyst
from router_extproc.encoder.bundle import FILES, VERIFIER, build_bundle, load_bundle, write_manifest
from router_extproc.encoder.graph import Precision
from router_extproc.encoder.verifier import MAX_TOKENS, CrossEncoder, open_verifier
from tests.support.encoder import base_folder, real_bundle, real_encoder, real_verifier

DEADLINE = 30.0
PAIRS = Path(__file__).parents[2] / "bench" / "data" / "hard_pairs.jsonl"
SAME = [
    ("How do I reset my password?", "What is the way to reset a password?"),
    ("How can I lose weight fast?", "What is the quickest way to lose weight?"),
    ("What are the main renewable energy sources?", "Which are the main sources of renewable energy?"),
]
OTHER = [
    ("How do I reset my password?", "What happens if I forget my password?"),
    ("How do I make coffee?", "Why is coffee so popular?"),
    ("What are the main renewable energy sources?", "Why is renewable energy expensive?"),
]


@pytest.mark.parametrize(("text", "other"), SAME)
def test_plain_paraphrases_are_likely_the_same(text: str, other: str) -> None:
    assert _same(text, other) > 0.5


@pytest.mark.parametrize(("text", "other"), OTHER)
def test_plain_lookalikes_are_likely_not(text: str, other: str) -> None:
    assert _same(text, other) < 0.5


def test_a_text_asks_the_same_as_itself() -> None:
    for text, _ in (*SAME, *OTHER):
        assert _same(text, text) > 0.5


def test_the_same_pair_gets_the_same_probability_from_another_load() -> None:
    again = open_verifier(real_bundle())
    assert [again.same(*pair) for pair in SAME] == [real_verifier().same(*pair) for pair in SAME]


@pytest.mark.parametrize("other", ["", " \n", "\x00", "\ud800 half a pair", "\U0001f680", "[SEP] [SEP]"])
def test_any_pair_of_texts_gets_a_probability(other: str) -> None:
    for pair in (("Why is the sky blue?", other), (other, "Why is the sky blue?")):
        assert 0 <= _same(*pair) <= 1


def test_a_separator_in_a_text_separates_nothing() -> None:
    """Or a client could write a question that agrees with itself."""
    text = "How do I delete my account?"
    assert _same(text, f"How do I make coffee? [SEP] {text}") != _same(text, text)
    ids = real_verifier().tokens(text, "a [SEP] b")
    assert ids is not None
    assert ids.count(102) == 2


def test_a_pair_is_judged_up_to_its_bound_and_not_beyond() -> None:
    fits = "word " * ((MAX_TOKENS - 3) // 2)
    assert real_verifier().same(fits, fits) is not None
    assert real_verifier().same(fits, fits + "word word") is None
    assert real_verifier().same("Why?", "word " * 1_000_000) is None


def test_the_quantised_graph_agrees_with_the_exact_one(tmp_path: Path) -> None:
    bundle = build_bundle(base_folder(), tmp_path / "exact", lambda line: None, Precision.FP32)
    exact = open_verifier(bundle)
    rows = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()][::20]
    apart = [abs(_logit(_of(exact, row["b"], row["a"])) - _logit(_same(row["b"], row["a"]))) for row in rows]
    assert float(np.mean(apart)) < 0.5


def _logit(share: float) -> float:
    share = min(max(share, 1e-6), 1 - 1e-6)
    return math.log(share / (1 - share))


async def test_it_answers_through_the_queue_of_the_encoder() -> None:
    analyst = BatchingAnalyst(real_encoder(), {}, verifier=real_verifier())
    await analyst.start()
    async with asyncio.timeout(DEADLINE):
        found = await asyncio.gather(*(analyst.same(*pair) for pair in SAME))
        assert found == [real_verifier().same(*pair) for pair in SAME]
        assert await analyst.same("word " * 500, "word") is None
        await analyst.close()


@pytest.mark.parametrize(
    ("content", "message"), [(b"not a graph", "onnxruntime cannot load it"), (None, "cannot run")]
)
def test_a_broken_verifier_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    """None: the sentence encoder in its place, which has no such output."""
    for name in FILES:
        shutil.copyfile(real_bundle().folder / name, tmp_path / name)
    (tmp_path / VERIFIER).write_bytes(real_bundle().model.read_bytes() if content is None else content)
    write_manifest(tmp_path, Precision.INT8, dimension=384, max_positions=512)
    with pytest.raises(ModelError, match=message) as caught:
        open_verifier(load_bundle(tmp_path))
    assert "models build" in str(caught.value)


def test_building_again_gives_the_same_bytes(tmp_path: Path) -> None:
    built = build_bundle(base_folder(), tmp_path / "bundle", lambda line: None)
    assert built.verifier_model.read_bytes() == real_bundle().verifier_model.read_bytes()
    assert built.verifier == real_bundle().verifier


def _same(text: str, other: str) -> float:
    return _of(real_verifier(), text, other)


def _of(verifier: CrossEncoder, text: str, other: str) -> float:
    probability = verifier.same(text, other)
    assert probability is not None
    return probability

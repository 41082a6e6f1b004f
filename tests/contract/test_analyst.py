"""The real encoder behind `ports.Analyst`: its vectors, its bounds, its files and what it refuses."""

import asyncio
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.numpy
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from router_extproc.base.errors import ModelError
from router_extproc.base.refusals import Failure
from router_extproc.encoder import fetch
from router_extproc.encoder.batcher import BatchingAnalyst
from router_extproc.encoder.bundle import (
    FILES,
    MODEL,
    Bundle,
    build_bundle,
    load_bundle,
    shape_of,
    write_manifest,
)
from router_extproc.encoder.graph import (
    ATTENTION_MASK,
    INPUT_IDS,
    OPSET,
    SENTENCE,
    TAGGED,
    TAGGER_BIAS,
    TAGGER_WEIGHT,
    Precision,
    build,
)
from router_extproc.encoder.session import Options, Reading, SentenceEncoder, Tokens, open_encoder
from router_extproc.ports import Analyst, PortError
from tests.support.encoder import base_folder, domain_head, real_bundle, real_encoder

PUBLISHED = Path(__file__).parent / "data" / "minilm_vectors.json"
DEADLINE = 30.0
TEXTS = (
    "Why is the sky blue?",
    "Write a SQL query that lists the ten oldest customers of each city, with their age and last order.",
    "hi",
    "A contract was signed by a minor who later confirmed it in writing. " * 6,
    "Solve 3x + 7 = 22 for x",
    "Compare the economic policies of two neighbouring countries in the nineteenth century.",
)


def _silent(line: str) -> None:
    """Progress is not looked at."""


@pytest.fixture(scope="module")
def exact_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build_bundle(base_folder(), tmp_path_factory.mktemp("fp32") / "bundle", _silent, Precision.FP32)


@pytest.fixture(scope="module")
def exact(exact_bundle: Bundle) -> SentenceEncoder:
    return open_encoder(exact_bundle, Options())


@pytest.fixture
async def analyst() -> AsyncIterator[Analyst]:
    analyst = BatchingAnalyst(real_encoder(), {"domain": domain_head()}, max_queue=64)
    await analyst.start()
    yield analyst
    await analyst.close()


def _published() -> tuple[list[str], NDArray[np.float32]]:
    sentences = json.loads(PUBLISHED.read_text(encoding="utf-8"))["sentences"]
    vectors = np.array([row["vector"] for row in sentences], np.float32)
    return [row["text"] for row in sentences], vectors


def test_the_exact_graph_of_the_base_agrees_with_the_published_model(tmp_path: Path) -> None:
    weights, config = ((base_folder() / name).read_bytes() for name in (fetch.WEIGHTS, fetch.CONFIG))
    tagger = {
        TAGGER_WEIGHT: np.zeros((1, len(TAGGED) * 384), np.float32),
        TAGGER_BIAS: np.zeros(1, np.float32),
    }
    graph = build(safetensors.numpy.load(weights) | tagger, shape_of(config), Precision.FP32)
    base = open_encoder(_sealed(tmp_path, graph.SerializeToString()), Options())
    texts, expected = _published()
    assert (base.encode_many(texts) * expected).sum(axis=1).min() >= 0.9999


def test_the_trunk_keeps_the_sentence_vectors_near_the_published_model_s(exact: SentenceEncoder) -> None:
    texts, expected = _published()
    cosines = (exact.encode_many(texts) * expected).sum(axis=1)
    assert cosines.mean() >= 0.96
    assert cosines.min() >= 0.92


def test_the_quantised_graph_stays_close_to_the_exact_one(exact: SentenceEncoder) -> None:
    texts, _ = _published()
    cosines = (real_encoder().encode_many(texts) * exact.encode_many(texts)).sum(axis=1)
    assert cosines.mean() >= 0.985
    assert cosines.min() >= 0.97


def test_padding_has_no_influence_on_the_exact_graph(exact_bundle: Bundle, exact: SentenceEncoder) -> None:
    ids = exact.tokenise(TEXTS[0]).ids
    padded = np.array([[*ids, *[0] * 9], [*ids, *[7] * 9]], np.int64)
    mask = np.array([[1] * len(ids) + [0] * 9] * 2, np.int64)
    session = onnxruntime.InferenceSession(str(exact_bundle.model), providers=["CPUExecutionProvider"])
    found = session.run([SENTENCE], {INPUT_IDS: padded, ATTENTION_MASK: mask})[0]
    assert np.abs(found - exact.encode(TEXTS[0])).max() < 1e-5


async def test_a_vector_does_not_depend_on_what_is_asked_beside_it(analyst: Analyst) -> None:
    async with asyncio.timeout(DEADLINE):
        together = await asyncio.gather(*(analyst.analyse(text) for text in TEXTS * 3))
        for text, beside in zip(TEXTS * 3, together, strict=True):
            alone = await analyst.analyse(text)
            assert np.array_equal(alone.vector, beside.vector)
            assert alone.heads == beside.heads


async def test_an_analysis_is_complete(analyst: Analyst) -> None:
    async with asyncio.timeout(DEADLINE):
        analysis = await analyst.analyse("Solve 3x + 7 = 22 for x")
    assert analysis.encoder == analyst.encoder == real_encoder().encoder
    assert analysis.vector.shape == (384,)
    assert analysis.vector.dtype == np.float32
    assert float(np.linalg.norm(analysis.vector)) == pytest.approx(1, abs=1e-5)
    domain = analysis.heads["domain"]
    assert len(domain) == 14
    assert sum(domain.values()) == pytest.approx(1)
    assert max(domain, key=lambda label: domain[label]) == "math"
    assert not analysis.truncated
    assert analysis.timings.run > 0


async def test_a_prompt_of_a_megabyte_costs_no_more_than_the_window(analyst: Analyst) -> None:
    async with asyncio.timeout(DEADLINE):
        analysis = await analyst.analyse("all work and no play " * 50_000)
        start = await analyst.analyse("all work and no play " * 60)
    assert (analysis.tokens, analysis.truncated) == (256, True)
    assert (start.tokens, start.truncated) == (256, True)
    assert np.array_equal(analysis.vector, start.vector)


@pytest.mark.parametrize("text", ["", " \n\t", "\x00", "\ud800 half a pair", "\U0001f680", "漢" * 9000])
async def test_any_text_gets_a_unit_vector(analyst: Analyst, text: str) -> None:
    async with asyncio.timeout(DEADLINE):
        analysis = await analyst.analyse(text)
    assert float(np.linalg.norm(analysis.vector)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("Solve x^2 - 5x + 6 = 0.", "math"),
        ("What causes inflation when a central bank prints money?", "economics"),
        ("What did Kant mean by the categorical imperative?", "philosophy"),
    ],
)
def test_the_shipped_head_tells_plain_domains_apart(text: str, domain: str) -> None:
    encoder = real_encoder()
    shares = domain_head().probabilities(encoder.run(encoder.tokenise(text)).states)
    assert max(shares, key=lambda label: shares[label]) == domain


def test_a_special_token_in_a_text_is_only_text() -> None:
    ids = real_encoder().tokenise("first [SEP] second [PAD]").ids
    assert ids.count(102) == 1
    assert 0 not in ids


def test_the_identity_names_the_window() -> None:
    narrow = open_encoder(real_bundle(), Options(max_tokens=32))
    assert narrow.encoder != real_encoder().encoder
    assert len(narrow.encoder) <= 32
    assert len(narrow.tokenise("word " * 100).ids) == 32


@pytest.mark.parametrize("max_tokens", [2, 513])
def test_a_window_the_model_does_not_have_is_refused(max_tokens: int) -> None:
    with pytest.raises(ModelError, match=r"encoder\.max_tokens"):
        open_encoder(real_bundle(), Options(max_tokens=max_tokens))


class HeldEncoder:
    """The real encoder, made to wait in its thread until the test lets it go on."""

    def __init__(self) -> None:
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.encoder = real_encoder().encoder
        self.dimension = real_encoder().dimension

    def tokenise(self, text: str) -> Tokens:
        self.entered.set()
        if not self.go_on.wait(DEADLINE):
            raise TimeoutError
        return real_encoder().tokenise(text)

    def run(self, tokens: Tokens) -> Reading:
        return real_encoder().run(tokens)


async def test_the_event_loop_runs_while_the_encoder_works() -> None:
    held = HeldEncoder()
    analyst = BatchingAnalyst(held, {}, max_queue=1)
    await analyst.start()
    async with asyncio.timeout(DEADLINE):
        first = asyncio.create_task(analyst.analyse("a"))
        await asyncio.to_thread(held.entered.wait, DEADLINE)
        with pytest.raises(PortError) as caught:
            await analyst.analyse("b")
        assert caught.value.reason is Failure.OVERLOADED
        held.go_on.set()
        await first
        await analyst.close()


async def test_closing_ends_the_thread_and_those_who_wait() -> None:
    held = HeldEncoder()
    analyst = BatchingAnalyst(held, {}, max_queue=4)
    await analyst.start()
    async with asyncio.timeout(DEADLINE):
        tasks = [asyncio.create_task(analyst.analyse(text)) for text in ("a", "b")]
        await asyncio.to_thread(held.entered.wait, DEADLINE)
        closing = asyncio.create_task(analyst.close())
        results = await asyncio.gather(*tasks, return_exceptions=True)
        held.go_on.set()
        await closing
    assert [getattr(result, "reason", None) for result in results] == [Failure.UNAVAILABLE] * 2


def _broken_model(output: str, *tail: onnx.NodeProto, **constants: NDArray[np.generic]) -> bytes:
    """A graph over the inputs of the encoder; `tail` makes `output` from `ids` (float, 1 x sequence)."""
    nodes = [helper.make_node("Cast", [INPUT_IDS], ["ids"], to=TensorProto.FLOAT), *tail]
    nodes.append(helper.make_node("Identity", [output], [SENTENCE]))
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
        for name in (INPUT_IDS, ATTENTION_MASK)
    ]
    outputs = [helper.make_tensor_value_info(SENTENCE, TensorProto.FLOAT, ["batch", None])]
    initialisers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "broken", inputs, outputs, initialisers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


def _scaled_sum(factor: float) -> bytes:
    """`factor` times the sum of the ids in every direction: no unit vector."""
    return _broken_model(
        "vector",
        helper.make_node("ReduceSum", ["ids", "axis"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["sum", "factors"], ["vector"]),
        axis=np.array([1], np.int64),
        factors=np.full((1, 384), factor, np.float32),
    )


def _constant(dimension: int) -> bytes:
    return _broken_model(
        "vector",
        helper.make_node("ReduceSum", ["ids", "axis"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["sum", "zero"], ["none"]),
        helper.make_node("Add", ["none", "same"], ["vector"]),
        axis=np.array([1], np.int64),
        zero=np.zeros((1, 1), np.float32),
        same=np.full((1, dimension), dimension**-0.5, np.float32),
    )


def _word_average() -> bytes:
    """What remains of a transformer whose layers do nothing: the mean of random word vectors."""
    table = np.random.default_rng(3).normal(size=(30522, 384)).astype(np.float32)
    return _broken_model(
        "vector",
        helper.make_node("Gather", ["table", INPUT_IDS], ["words"]),
        helper.make_node("ReduceSum", ["words", "axis"], ["sum"], keepdims=0),
        helper.make_node("LpNormalization", ["sum"], ["vector"], axis=-1, p=2),
        axis=np.array([1], np.int64),
        table=table,
    )


def _sealed(folder: Path, model: bytes) -> Bundle:
    """The real bundle with another model, and a manifest that says it is right."""
    for name in FILES:
        shutil.copyfile(real_bundle().folder / name, folder / name)
    (folder / MODEL).write_bytes(model)
    write_manifest(folder, Precision.INT8, dimension=384, max_positions=512)
    return load_bundle(folder)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: _constant(384), "same vector for different sentences"),
        (lambda: _constant(383), r"shape \(383,\), expected \(384,\)"),
        (lambda: _scaled_sum(1.0), "length"),
        (lambda: _scaled_sum(float("nan")), "not finite"),
        (_word_average, "a paraphrase no closer"),
        (lambda: b"not a graph", "onnxruntime cannot load it"),
    ],
    ids=["constant", "dimension", "length", "nan", "words", "garbage"],
)
def test_a_broken_model_is_refused(tmp_path: Path, model: Callable[[], bytes], message: str) -> None:
    bundle = _sealed(tmp_path, model())
    with pytest.raises(ModelError, match=message) as caught:
        open_encoder(bundle, Options())
    assert "models build" in str(caught.value)


def test_a_model_that_changed_after_the_build_is_refused(tmp_path: Path) -> None:
    bundle = _sealed(tmp_path, b"one")
    bundle.model.write_bytes(b"two")
    with pytest.raises(ModelError, match=r"model\.onnx: the checksum is not the manifest's"):
        load_bundle(tmp_path)


def test_building_again_gives_the_same_bytes_and_mends_a_damaged_bundle(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    first = build_bundle(base_folder(), target, _silent)
    content = first.model.read_bytes()
    first.model.write_bytes(content[:-1])
    second = build_bundle(base_folder(), target, _silent)
    assert second == first
    assert second.model.read_bytes() == content
    assert second.encoder == real_bundle().encoder


def test_an_equal_bundle_is_left_in_its_place(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    build_bundle(base_folder(), target, _silent)
    first = target.stat().st_ino
    build_bundle(base_folder(), target, _silent)
    assert target.stat().st_ino == first


@pytest.mark.parametrize("attempt", range(3))
def test_builds_may_race(tmp_path: Path, attempt: int) -> None:
    target, gate = tmp_path / "bundle", threading.Barrier(4)

    def say(line: str) -> None:
        if line.startswith("placing"):
            gate.wait(DEADLINE)

    with ThreadPoolExecutor(4) as builders:
        jobs = [builders.submit(build_bundle, base_folder(), target, say) for _ in range(4)]
        built = {job.result(timeout=DEADLINE).encoder for job in jobs}
    assert built == {load_bundle(target).encoder}
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_loading_says_nothing() -> None:
    program = (
        "import sys; from pathlib import Path; from router_extproc.encoder import bundle, session; "
        "session.open_encoder(bundle.load_bundle(Path(sys.argv[1])), session.Options())"
    )
    command = [sys.executable, "-c", program, str(real_bundle().folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

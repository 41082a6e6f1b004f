"""The sentence encoder and the verifier as ONNX graphs, made from BERT weights with numpy alone.

Owns the arithmetic: which operators, which precision, how a text's token vectors become one sentence
vector, or one probability. Knows nothing of files, tokenisers or sessions. The same weights always give
the same bytes.

The operators of domain `com.microsoft` are onnxruntime's fused ones, documented in its ContribOperators.
Architecture: Devlin et al. 2019 (BERT); pooling: Reimers and Gurevych 2019 (masked mean, unit length).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from router_extproc.base.errors import ModelError

Weights = Mapping[str, NDArray[np.float32]]

FUSED = "com.microsoft"
OPSET = 17
IR_VERSION = 9
INPUT_IDS = "input_ids"
ATTENTION_MASK = "attention_mask"
SENTENCE = "sentence"
FEATURES = "features"
TAGS = "tags"
SAME = "same"
HEAD_WEIGHT = "head.weight"
HEAD_BIAS = "head.bias"
"""The verifier's linear unit among its weights: (dimension,) and (1,)."""

TAGGER_WEIGHT = "pii.weight"
TAGGER_BIAS = "pii.bias"
"""The tagger's linear unit among the trunk's weights: (tags, layers tagged from x dimension) and (tags,)."""

READ = (3, 4, 5, 6)
"""The layers, counted from 1, whose mean states are the features; the last one's [CLS] follows them."""

TAGGED = (4, 5, 6)
"""The layers whose states of a token the tagger reads, one after the other. The last one alone says less: it
is held to the sentence vector."""

WEIGHT_LEVELS = 64
"""Largest magnitude of a quantised weight. On processors without VNNI, onnxruntime multiplies unsigned by
signed bytes with VPMADDUBSW, which saturates at 2 * 255 * 65; with 64 the sums fit, so that replicas on
different machines, which share a cache, agree. It costs 0.001 of cosine to the exact vectors."""

TABLE_LEVELS = 127
"""Largest magnitude in the embedding table, which is only looked up, never multiplied in bytes."""


class Precision(StrEnum):
    """`INT8`: weights and the table in bytes, activations quantised per run. `FP32`: exact."""

    FP32 = "fp32"
    INT8 = "int8"


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a BERT encoder that its weights alone do not tell, and the dimension."""

    dimension: int
    layers: int
    attention_heads: int
    epsilon: float


def quantise(
    matrix: NDArray[np.float32], axis: int, levels: int
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric bytes and scales with `matrix ~ bytes * scale`; one scale along `axis` for each slice.

    Raises ModelError if a value is not finite. A slice of zeros gets scale 1.
    """
    if not np.isfinite(matrix).all():
        raise ModelError("model weights: a value is not finite; fetch the model again")
    scale = np.abs(matrix).max(axis=axis, keepdims=True) / np.float32(levels)
    scale = np.where(scale == 0, np.float32(1), scale).astype(np.float32)
    return np.rint(matrix / scale).astype(np.int8), scale


def build(weights: Weights, shape: Shape, precision: Precision) -> onnx.ModelProto:
    """The whole trunk: int64 `input_ids` and `attention_mask` (batch, sequence), in that order, to float32
    `sentence` (batch, dimension), unit length; `features` (batch, (layers read + 1) x dimension), what linear
    heads read; and `tags` (batch, sequence, tags), logits. Masked positions have no influence.

    Raises ModelError naming the first tensor that is missing.
    """
    graph = _Graph(weights, shape, precision)
    states = graph.states()
    graph.pool(states)
    graph.tag(states)
    features = (len(graph.read) + 1) * shape.dimension
    tags = graph.weight(TAGGER_BIAS).shape[0]
    outputs = ((SENTENCE, (shape.dimension,)), (FEATURES, (features,)), (TAGS, ("sequence", tags)))
    return graph.model("trunk", outputs)


def build_verifier(weights: Weights, shape: Shape, precision: Precision) -> onnx.ModelProto:
    """The verifier over pairs of texts joined to one sequence: inputs as for `build`, to float32 `same`
    (batch, 1), the probability that the two ask the same. `weights` hold the linear unit too.

    Raises ModelError naming the first tensor that is missing.
    """
    graph = _Graph(weights, shape, precision)
    graph.first_token(graph.states()[-1])
    return graph.model("verifier", ((SAME, (1,)),))


@dataclass(slots=True)
class _Graph:
    """Collects nodes and initialisers. Methods return the name of the value they compute."""

    weights: Weights
    shape: Shape
    precision: Precision
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initialisers: list[onnx.TensorProto] = field(default_factory=list)

    def weight(self, name: str) -> NDArray[np.float32]:
        try:
            return self.weights[name]
        except KeyError:
            raise ModelError(f"model weights: tensor {name} is missing; fetch the model again") from None

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def named(self, name: str) -> str:
        """The weight `name` as a constant of the same name."""
        return self.constant(name, self.weight(name))

    def add(self, operator: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(
            helper.make_node(operator, inputs, [output], name=output, domain=domain, **attributes)
        )
        return output

    @property
    def read(self) -> tuple[int, ...]:
        """Of a smaller model than the shipped one, the layers that it has."""
        return tuple(layer for layer in READ if layer <= self.shape.layers)

    def states(self) -> list[str]:
        """Every layer's output, (batch, sequence, dimension), the embeddings first."""
        self.add("Cast", [INPUT_IDS], "ids", to=TensorProto.INT32)
        self.add("Cast", [ATTENTION_MASK], "mask", to=TensorProto.INT32)
        found = [self.embeddings()]
        for layer in range(self.shape.layers):
            found.append(self.transformer_layer(layer, found[-1]))
        return found

    def embeddings(self) -> str:
        """Word plus position plus segment 0, normalised. Everything is segment 0, the verifier's second text
        too, so that row is added to the positions once, here."""
        table = self.weight("embeddings.word_embeddings.weight")
        position = self.weight("embeddings.position_embeddings.weight")
        position = position + self.weight("embeddings.token_type_embeddings.weight")[0]
        if self.precision is Precision.INT8:
            rows, scale = quantise(table, axis=1, levels=TABLE_LEVELS)
            self.add("Gather", [self.constant("word.bytes", rows), "ids"], "word.gathered")
            self.add("Cast", ["word.gathered"], "word.floats", to=TensorProto.FLOAT)
            self.add("Gather", [self.constant("word.scale", scale), "ids"], "word.scales")
            self.add("Mul", ["word.floats", "word.scales"], "word")
        else:
            self.add("Gather", [self.constant("word.table", table), "ids"], "word")
        zero, one = np.array([0], np.int64), np.array([1], np.int64)
        self.add("Shape", ["ids"], "length", start=1, end=2)
        self.add(
            "Slice",
            [self.constant("position.table", position), self.constant("zero", zero), "length", "zero"],
            "position",
        )
        self.add("Add", ["word", "position"], "embedded")
        self.constant("one", one)
        norm = [self.named(f"embeddings.LayerNorm.{part}") for part in ("weight", "bias")]
        return self.add("LayerNormalization", ["embedded", *norm], "hidden", epsilon=self.shape.epsilon)

    def transformer_layer(self, layer: int, hidden: str) -> str:
        """Post-norm block: self-attention and feed-forward, each added to its input and normalised."""
        prefix = f"encoder.layer.{layer}."
        mixed = self.attention(prefix + "attention.self.", hidden)
        attended = self.residual(prefix + "attention.output.", mixed, hidden)
        inner = self.matmul(prefix + "intermediate.dense.weight", attended)
        bias = self.named(prefix + "intermediate.dense.bias")
        active = self.add("BiasGelu", [inner, bias], prefix + "active", FUSED)
        return self.residual(prefix + "output.", active, attended)

    def attention(self, prefix: str, hidden: str) -> str:
        """Query, key and value in one multiplication, then masked softmax attention."""
        parts = ("query", "key", "value")
        joined = np.concatenate([self.weight(f"{prefix}{part}.weight").T for part in parts], axis=1)
        bias = self.constant(
            prefix + "bias", np.concatenate([self.weight(f"{prefix}{part}.bias") for part in parts])
        )
        heads = self.shape.attention_heads
        if self.precision is Precision.FP32:
            inputs = [hidden, self.constant(prefix + "weight", joined), bias, "mask"]
            return self.add("Attention", inputs, prefix + "mixed", FUSED, num_heads=heads)
        columns, scale = quantise(joined, axis=0, levels=WEIGHT_LEVELS)
        seen = [prefix + name for name in ("seen.bytes", "seen.scale", "seen.zero")]
        self.nodes.append(helper.make_node("DynamicQuantizeLinear", [hidden], seen, name=prefix + "seen"))
        inputs = [
            seen[0],
            self.constant(prefix + "weight.bytes", columns),
            bias,
            seen[1],
            self.constant(prefix + "weight.scale", scale[0]),
            "mask",
            seen[2],
            self.constant(prefix + "weight.zero", np.zeros(scale.shape[1], np.int8)),
        ]
        return self.add("QAttention", inputs, prefix + "mixed", FUSED, num_heads=heads)

    def matmul(self, name: str, value: str) -> str:
        """`value` times the transposed weight `name` (PyTorch keeps linear layers as (out, in))."""
        matrix = self.weight(name).T
        if self.precision is Precision.FP32:
            return self.add("MatMul", [value, self.constant(name, matrix)], name + ".product")
        columns, scale = quantise(matrix, axis=0, levels=WEIGHT_LEVELS)
        inputs = [value, self.constant(name, columns), self.constant(name + ".scale", scale[0])]
        return self.add("DynamicQuantizeMatMul", inputs, name + ".product", FUSED)

    def residual(self, prefix: str, value: str, skipped: str) -> str:
        """LayerNorm(value @ dense + bias + skipped)."""
        product = self.matmul(prefix + "dense.weight", value)
        norm = [self.named(f"{prefix}LayerNorm.{part}") for part in ("weight", "bias")]
        inputs = [product, skipped, *norm, self.named(prefix + "dense.bias")]
        epsilon = self.shape.epsilon
        return self.add("SkipLayerNormalization", inputs, prefix + "normal", FUSED, epsilon=epsilon)

    def pool(self, states: list[str]) -> None:
        """The mask, divided by its sum, as a row vector averages the unmasked tokens. The sentence vector is
        the last layer's mean at unit length (Reimers and Gurevych 2019)."""
        self.add("Cast", [ATTENTION_MASK], "mask.floats", to=TensorProto.FLOAT)
        self.add("ReduceSum", ["mask.floats", "one"], "mask.sum", keepdims=1)
        self.add("Div", ["mask.floats", "mask.sum"], "mask.shares")
        self.add("Unsqueeze", ["mask.shares", "one"], "mask.row")
        means = [self._mean(states[layer], layer) for layer in sorted({*self.read, self.shape.layers})]
        self.add("LpNormalization", [means[-1]], SENTENCE, axis=-1, p=2)
        self.add("Gather", [states[-1], "zero"], "first.row", axis=1)
        self.add("Squeeze", ["first.row", "one"], "first")
        self.add("Concat", [*means[: len(self.read)], "first"], FEATURES, axis=1)

    def _mean(self, state: str, layer: int) -> str:
        self.add("MatMul", ["mask.row", state], f"mean.row.{layer}")
        return self.add("Squeeze", [f"mean.row.{layer}", "one"], f"mean.{layer}")

    def tag(self, states: list[str]) -> None:
        """A linear unit over every token, in floats."""
        layers = [layer for layer in TAGGED if layer <= self.shape.layers]
        self.add("Concat", [states[layer] for layer in layers], "tagged", axis=2)
        weight = self.constant(TAGGER_WEIGHT, self.weight(TAGGER_WEIGHT).T)
        self.add("MatMul", ["tagged", weight], "tags.product")
        self.add("Add", ["tags.product", self.named(TAGGER_BIAS)], TAGS)

    def first_token(self, hidden: str) -> None:
        """A linear unit over the vector of [CLS], and the logistic function. It stays in floats: it is one
        column, and the one whose error nothing evens out."""
        self.add("Gather", [hidden, "zero"], "first.row", axis=1)
        self.add("Squeeze", ["first.row", "one"], "first.vector")
        weight = self.constant(HEAD_WEIGHT, self.weight(HEAD_WEIGHT).reshape(-1, 1))
        self.add("MatMul", ["first.vector", weight], "first.product")
        self.add("Add", ["first.product", self.named(HEAD_BIAS)], "logit")
        self.add("Sigmoid", ["logit"], SAME)

    def model(self, name: str, given: Sequence[tuple[str, tuple[str | int, ...]]]) -> onnx.ModelProto:
        """`given` are the outputs and their shapes after the batch."""
        inputs = [
            helper.make_tensor_value_info(each, TensorProto.INT64, ["batch", "sequence"])
            for each in (INPUT_IDS, ATTENTION_MASK)
        ]
        outputs = [
            helper.make_tensor_value_info(each, TensorProto.FLOAT, ["batch", *sizes]) for each, sizes in given
        ]
        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.initialisers)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(FUSED, 1)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="router-extproc"
        )

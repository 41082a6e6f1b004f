"""Cutting and forking the encoder's graph, on one of eight dimensions."""

import numpy as np
import onnx
import pytest

from bench.graphs import FORKED, cut, forked
from router_extproc.encoder.graph import FEATURES, SENTENCE, TAGS, Precision, Shape, build
from tests.unit.encoder.tiny import SHAPE, tiny_weights

LAYERS = 6
LAST = 4
SECOND = tuple(f"encoder.layer.{layer}." for layer in range(LAYERS - LAST, LAYERS))
FORKED_LAYER = f"{FORKED}encoder.layer."


def six_layers(precision: Precision = Precision.INT8) -> onnx.ModelProto:
    weights = {
        name.replace("layer.0", f"layer.{layer}"): value
        for layer in range(LAYERS)
        for name, value in tiny_weights(layer).items()
    }
    return build(weights, Shape(SHAPE.dimension, LAYERS, SHAPE.attention_heads, SHAPE.epsilon), precision)


def names(model: onnx.ModelProto) -> set[str]:
    return {node.name for node in model.graph.node}


def complete(model: onnx.ModelProto) -> bool:
    """Whether every node comes after what it reads, nothing is made twice, and all outputs are made."""
    known = {each.name for each in model.graph.input} | {each.name for each in model.graph.initializer}
    for node in model.graph.node:
        if not known.issuperset(node.input) or known.intersection(node.output):
            return False
        known.update(node.output)
    return known.issuperset(each.name for each in model.graph.output)


@pytest.mark.parametrize("outputs", [(SENTENCE,), (SENTENCE, FEATURES), (SENTENCE, FEATURES, TAGS)])
def test_what_is_cut_has_what_its_outputs_need_and_nothing_else(outputs: tuple[str, ...]) -> None:
    whole = six_layers()
    found = cut(whole, outputs)
    assert complete(found)
    assert [each.name for each in found.graph.output] == list(outputs)
    assert (TAGS in names(found)) is (TAGS in outputs)
    assert ("first.row" in names(found)) is (FEATURES in outputs)
    read = {name for node in found.graph.node for name in node.input}
    assert {each.name for each in found.graph.initializer} <= read


def test_cutting_nothing_away_changes_no_node() -> None:
    whole = six_layers()
    assert list(cut(whole, (SENTENCE, FEATURES, TAGS)).graph.node) == list(whole.graph.node)


@pytest.mark.parametrize("precision", list(Precision))
def test_a_fork_has_its_last_layers_twice_with_weights_of_their_own(precision: Precision) -> None:
    whole, found = six_layers(precision), forked(six_layers(precision), LAST)
    assert complete(found)
    assert [each.name for each in found.graph.output] == [SENTENCE, FEATURES, TAGS]
    last = {name for name in names(whole) if name.startswith(SECOND)}
    assert {FORKED + name for name in last} == {
        name for name in names(found) if name.startswith(FORKED_LAYER)
    }
    stored = {each.name: onnx.numpy_helper.to_array(each) for each in found.graph.initializer}
    copies = {name for name in stored if name.startswith(FORKED_LAYER)}
    second = [node for node in found.graph.node if node.name.startswith(FORKED_LAYER)]
    assert {name for node in second for name in node.input if name in stored} == copies
    assert copies
    for name in copies:
        np.testing.assert_array_equal(stored[name], stored[name.removeprefix(FORKED)])


def test_the_vector_of_a_fork_comes_from_the_first_branch_and_the_rest_from_the_second() -> None:
    found = forked(six_layers(), LAST)
    behind = {output: names(cut(found, (output,))) for output in (SENTENCE, FEATURES, TAGS)}
    own = {name for name in names(found) if name.startswith((FORKED_LAYER, *SECOND))}
    assert not any(name.startswith(FORKED) for name in behind[SENTENCE])
    for output in (FEATURES, TAGS):
        assert {name.startswith(FORKED) for name in behind[output] & own} == {True}

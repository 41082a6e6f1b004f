"""Other forms of the encoder's graph, to measure what a part of it costs: without some outputs, and with its
last layers twice. Knows onnx and the names that `encoder.graph` gives, nothing of files or sessions."""

from collections.abc import Collection, Mapping, Sequence

import onnx
from onnx import GraphProto, ModelProto, NodeProto

from router_extproc.encoder.graph import FEATURES, SENTENCE, TAGS

FORKED = "forked."
"""Before the names of the second branch."""


def cut(model: ModelProto, outputs: Collection[str]) -> ModelProto:
    """`model` with no other outputs than these, and nothing that they do not need."""
    graph = model.graph
    nodes = _needed(graph, outputs)
    return _rebuilt(model, nodes, [each for each in graph.output if each.name in outputs])


def forked(model: ModelProto, layers: int) -> ModelProto:
    """`model` with its last `layers` twice: one copy makes the sentence vector, the other, with weights of
    its own, the states and tags. So could the judgements be fitted without a change of the vector."""
    graph = model.graph
    branch = _last_layers(graph, layers)
    copied: dict[str, str] = {}
    for node in graph.node:
        if node.name in branch or any(name in copied for name in node.input):
            copied |= {name: FORKED + name for name in node.output}
    second = [node for node in _needed(graph, (FEATURES, TAGS)) if node.output[0] in copied]
    stored = {each.name for each in graph.initializer}
    own = {name for node in second if node.name in branch for name in node.input if name in stored}
    names = {name: name for name in (FEATURES, TAGS)}
    names = copied | names | {name: FORKED + name for name in own}
    first = _needed(graph, (SENTENCE,))
    shared = [node for node in _needed(graph, (FEATURES, TAGS)) if node not in second and node not in first]
    twice = _rebuilt(model, [*first, *shared, *(_renamed(node, names) for node in second)], graph.output)
    for each in graph.initializer:
        if each.name in own:
            twice.graph.initializer.add().CopyFrom(each)
            twice.graph.initializer[-1].name = FORKED + each.name
    return twice


def _needed(graph: GraphProto, outputs: Collection[str]) -> list[NodeProto]:
    """The nodes that `outputs` come from, in the graph's order."""
    wanted, kept = set(outputs), list[NodeProto]()
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]


def _last_layers(graph: GraphProto, layers: int) -> set[str]:
    """The names of the nodes of the last `layers`."""
    found = [node.name.split(".") for node in graph.node if node.name.startswith("encoder.layer.")]
    numbers = sorted({int(parts[2]) for parts in found})[-layers:]
    return {".".join(parts) for parts in found if int(parts[2]) in numbers}


def _renamed(node: NodeProto, names: Mapping[str, str]) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.name = FORKED + node.name
    copy.input[:] = [names.get(name, name) for name in node.input]
    copy.output[:] = [names.get(name, name) for name in node.output]
    return copy


def _rebuilt(
    model: ModelProto, nodes: Sequence[NodeProto], outputs: Sequence[onnx.ValueInfoProto]
) -> ModelProto:
    used = {name for node in nodes for name in node.input}
    constants = [each for each in model.graph.initializer if each.name in used]
    graph = onnx.helper.make_graph(nodes, model.graph.name, model.graph.input, outputs, constants)
    return onnx.helper.make_model(
        graph,
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
        producer_name=model.producer_name,
    )

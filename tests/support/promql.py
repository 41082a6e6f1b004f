"""What a PromQL query asks for, by a real parser of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import promql_parser as promql

VARIABLES = {"$__rate_interval": "5m", "$__range": "1h"}
"""Grafana's, and what stands for them here."""

Node = promql.Expr


@dataclass(frozen=True, slots=True)
class Asked:
    """A series that a query selects: its name, the labels that it matches, and with which values (of regular
    expressions each alternative)."""

    series: str
    matched: tuple[tuple[str, tuple[str, ...]], ...]
    function: str
    """The innermost function around it, "" for none."""


@dataclass(frozen=True, slots=True)
class Read:
    """`grouped` are the labels by which something is summed or matched."""

    asked: tuple[Asked, ...]
    grouped: frozenset[str]
    quantiles: int


def read(query: str) -> Read:
    """Raises ValueError for what is no PromQL."""
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    asked: list[Asked] = []
    grouped: set[str] = set()
    quantiles = 0
    for node, function in _walk(promql.parse(query), ""):
        if isinstance(node, promql.VectorSelector):
            asked.append(_asked(node, function))
        elif isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            grouped |= set(node.modifier.labels)
        elif isinstance(node, promql.Call):
            quantiles += node.func.name == "histogram_quantile"
    return Read(tuple(asked), frozenset(grouped), quantiles)


def _asked(node: promql.VectorSelector, function: str) -> Asked:
    matched = tuple(
        (each.name, tuple(each.value.split("|")))
        for each in node.matchers.matchers
        if each.name != "__name__"
    )
    return Asked(node.name or "", matched, function)


def _walk(node: Node, function: str) -> Iterator[tuple[Node, str]]:
    """Every part, with the function around it."""
    yield node, function
    if isinstance(node, promql.Call):
        for part in node.args:
            yield from _walk(part, node.func.name)
    elif isinstance(node, promql.MatrixSelector):
        yield from _walk(node.vector_selector, function)
    elif isinstance(node, promql.BinaryExpr):
        yield from _walk(node.lhs, "")
        yield from _walk(node.rhs, "")
    elif isinstance(node, promql.AggregateExpr):
        yield from _walk(node.expr, "")
    elif isinstance(node, promql.ParenExpr | promql.UnaryExpr | promql.SubqueryExpr):
        yield from _walk(node.expr, function)

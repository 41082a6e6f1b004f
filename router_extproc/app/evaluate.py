"""`eval`: what ships, measured on labelled data."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_extproc.app.configuration import load
from router_extproc.app.models import find_bundle
from router_extproc.app.router import Mind
from router_extproc.base.errors import OperatorError
from router_extproc.caching.guard import same_question
from router_extproc.encoder.session import SentenceEncoder
from router_extproc.evaluation.domain import DomainReport, evaluate_domain
from router_extproc.evaluation.pairs import cosines, evaluate_pairs
from router_extproc.evaluation.rows import read_domain_rows, read_pair_rows
from router_extproc.routing.decide import DOMAIN

REFUSED = -1.0
"""The similarity of a pair that the guard holds back: below every threshold."""


def evaluate(config: Path, task: str, file: Path, *, as_json: bool) -> int:
    """Print the report of `task` (`domain` or `cache-pairs`) on `file`. Raises OperatorError."""
    settings = load(config).settings
    mind = Mind.load(find_bundle(settings), settings)
    if task == "domain":
        report = _domain(file, mind)
        document, text = report.as_json(), report.as_text()
    else:
        document, text = _pairs(file, mind.encoder, settings.semantic_cache.similarity_threshold)
    sys.stdout.write(json.dumps(document) + "\n" if as_json else text + "\n")
    return 0


def _domain(file: Path, mind: Mind) -> DomainReport:
    rows = read_domain_rows(file)
    head = mind.heads[DOMAIN]
    check_labels(file, [row.label for row in rows], head.labels)
    vectors = _encode(mind.encoder, [row.text for row in rows])
    shares = [dict(zip(head.labels, map(float, each), strict=True)) for each in head.rows(vectors)]
    return evaluate_domain([row.label for row in rows], shares)


def check_labels(file: Path, labels: Sequence[str], known: Sequence[str]) -> None:
    """OperatorError when the head knows none of the rows' labels: the file was made for another head. Rows
    with an unknown label beside known ones count as wrong, and stderr says how many there are."""
    unknown = [label for label in labels if label not in known]
    if not unknown:
        return
    problem = f"{file}: label {unknown[0]!r} is not one that the domain head knows ({', '.join(known)})"
    if len(unknown) == len(labels):
        raise OperatorError(f"{problem}; rename the labels of the file")
    sys.stderr.write(f"{problem}; it and others like it are wrong in {len(unknown)} of {len(labels)} rows\n")


def _pairs(file: Path, encoder: SentenceEncoder, threshold: float) -> tuple[dict[str, object], str]:
    """Is b answered from a cache that holds a? The cache's own rule: similar enough, and the guard agrees."""
    rows = read_pair_rows(file)
    texts = sorted({text for row in rows for text in (row.a, row.b)})
    places = {text: place for place, text in enumerate(texts)}
    vectors = _encode(encoder, texts)
    similarity = cosines(vectors[[places[row.a] for row in rows]], vectors[[places[row.b] for row in rows]])
    held_back = np.array([not same_question(row.b, row.a) for row in rows])
    same = [row.same for row in rows]
    guarded = evaluate_pairs(np.where(held_back, REFUSED, similarity), same, threshold)
    bare = evaluate_pairs(similarity, same, threshold)
    document = {**guarded.as_json(), "curve_without_guard": bare.as_json()["curve"]}
    text = f"with the guard, as shipped\n{guarded.as_text()}\n\nwithout the guard\n{bare.as_text()}"
    return document, text


def _encode(encoder: SentenceEncoder, texts: Sequence[str]) -> NDArray[np.float32]:
    def progress(done: int) -> None:
        sys.stderr.write(f"\r  {done} of {len(texts)} texts")
        sys.stderr.flush()

    vectors = encoder.encode_many(texts, progress)
    sys.stderr.write(f"\r  {len(texts)} of {len(texts)} texts\n")
    return vectors

"""`eval`: what ships, measured on labelled data."""

import asyncio
import json
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path

import numpy as np

from router_extproc.app.configuration import load
from router_extproc.app.models import find_bundle
from router_extproc.app.router import Mind
from router_extproc.base.errors import OperatorError
from router_extproc.caching.entry import Candidate
from router_extproc.caching.policy import CachePolicy, Mode
from router_extproc.encoder.cpu import available_threads
from router_extproc.encoder.session import SentenceEncoder
from router_extproc.evaluation.domain import DomainReport, evaluate_domain
from router_extproc.evaluation.judge import BOUNDS, Judge, Question, Verdict
from router_extproc.evaluation.pairs import Pair, PairsReport, evaluate_pairs, judge_pair
from router_extproc.evaluation.progress import Progress
from router_extproc.evaluation.replay import ReplayReport, evaluate_replay
from router_extproc.evaluation.rows import (
    Ask,
    PairRow,
    Put,
    read_domain_rows,
    read_pair_rows,
    read_replay_rows,
)
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.decide import DOMAIN, RoutingPolicy, decide
from router_extproc.settings.schema import Settings
from router_extproc.stores.memory import MemoryStore


def evaluate(config: Path, task: str, file: Path, *, as_json: bool) -> int:
    """Print the report of `task`: `domain`, `cache-pairs` or `cache-replay`. Raises OperatorError."""
    settings = load(config).settings
    report: DomainReport | PairsReport | ReplayReport
    match task:
        case "domain":
            report = _domain(file, settings)
        case "cache-pairs":
            report = _pairs(file, settings)
        case _:
            report = _replay(file, settings)
    sys.stdout.write(json.dumps(report.as_json()) + "\n" if as_json else report.as_text() + "\n")
    return 0


def _domain(file: Path, settings: Settings) -> DomainReport:
    rows = read_domain_rows(file)
    mind = Mind.load(find_bundle(settings), settings)
    head = mind.heads[DOMAIN]
    check_labels(file, [row.label for row in rows], head.labels)
    analyses = analyse(mind, {row.text for row in rows})
    shares = [analyses[row.text].heads[DOMAIN] for row in rows]
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


def _pairs(file: Path, settings: Settings) -> PairsReport:
    rows = read_pair_rows(file)
    mind = Mind.load(find_bundle(settings), settings)
    plan = mind.plan(settings)
    pairs = pairs_of(rows, mind, plan.routing)
    verdicts = judge_pairs(Judge(plan.cache), pairs)
    return evaluate_pairs(pairs, verdicts, plan.cache.default.threshold)


def pairs_of(rows: Sequence[PairRow], mind: Mind, routing: RoutingPolicy) -> list[Pair]:
    """The rows as the router sees them: encoded, and in the category that it or the row gives them."""
    analyses = analyse(mind, {text for row in rows for text in (row.a, row.b)})

    def question(text: str, category: str | None) -> Question:
        return _question(text, analyses[text], routing, category)

    return [
        Pair(question(row.a, row.category), question(row.b, row.category), row.same, row.kind) for row in rows
    ]


def judge_pairs(judge: Judge, pairs: Sequence[Pair]) -> list[Verdict]:
    """What a cache that holds a says to b, for each pair."""
    progress = Progress(len(pairs), "pairs", sys.stderr)
    verdicts: list[Verdict] = []
    for pair in pairs:
        verdicts.append(judge_pair(judge, pair))
        progress(len(verdicts))
    progress.end()
    return verdicts


def threshold_of(policy: CachePolicy, category: str) -> float:
    """The least cosine of a semantic hit in `category`; inf where only exact matches hit, or nothing."""
    own = policy.of(category)
    return own.threshold if own.mode is Mode.SEMANTIC else inf


def _replay(file: Path, settings: Settings) -> ReplayReport:
    steps = read_replay_rows(file)
    mind = Mind.load(find_bundle(settings), settings)
    plan = mind.plan(settings)
    analyses = analyse(mind, {step.text for step in steps})
    questions = [(step, _question(step.text, analyses[step.text], plan.routing, None)) for step in steps]
    verdicts = asyncio.run(replay(questions, Judge(plan.cache), mind.encoder.dimension))
    return evaluate_replay(
        verdicts,
        [step.expect for step in steps if isinstance(step, Ask)],
        plan.cache.default.threshold,
        puts=sum(isinstance(step, Put) for step in steps),
    )


async def replay(steps: Sequence[tuple[Put | Ask, Question]], judge: Judge, dimension: int) -> list[Verdict]:
    """Play `steps` in order against one empty cache that holds them all; a verdict for each ask."""
    store = MemoryStore(dimension, max_entries=len(steps), max_bytes=sys.maxsize, policy="fifo")
    progress = Progress(sum(isinstance(step, Ask) for step, _ in steps), "asks", sys.stderr)
    verdicts: list[Verdict] = []
    for step, question in steps:
        if isinstance(step, Put):
            if judge.may_use(step.text):
                await store.put(judge.entry(question, step.id))
        else:
            verdicts.append(judge.verdict(question, await _candidates(store, judge, question)))
            progress(len(verdicts))
    progress.end()
    return verdicts


async def _candidates(store: MemoryStore, judge: Judge, question: Question) -> Sequence[Candidate]:
    """What the router would look at: the entry with the same text, else the nearest ones."""
    identity = judge.identity(question.text)
    exact = await store.get(identity.partition, identity.entry_id, BOUNDS.at)
    if exact is not None:
        return [Candidate(exact, 1.0)]
    return await store.nearest(identity.partition, question.vector, judge.policy.candidates, BOUNDS.at)


def _question(text: str, analysis: Analysis, routing: RoutingPolicy, category: str | None) -> Question:
    """`category`, where given, stands in for the router's own decision."""
    if category is None:
        category = decide(routing, None, analysis).category
    return Question(text, analysis.vector, category, analysis.truncated)


def analyse(mind: Mind, texts: Iterable[str]) -> dict[str, Analysis]:
    """What one encoder pass says about each text. All cores work, on one text each: a vector is the same
    whatever else runs. Progress goes to stderr."""
    ordered = sorted(set(texts))
    progress = Progress(len(ordered), "texts", sys.stderr)
    analyses: dict[str, Analysis] = {}
    pool = ThreadPoolExecutor(max_workers=available_threads(), thread_name_prefix="encode")
    try:
        for text, analysis in zip(ordered, pool.map(lambda text: _analyse(mind, text), ordered), strict=True):
            analyses[text] = analysis
            progress(len(analyses))
    finally:
        # Someone who presses Ctrl-C does not wait for the texts that are left.
        pool.shutdown(cancel_futures=True)
    progress.end()
    return analyses


def _analyse(mind: Mind, text: str) -> Analysis:
    encoder: SentenceEncoder = mind.encoder
    tokens = encoder.tokenise(text)
    vector = encoder.run(tokens)
    if not np.isfinite(vector).all():
        raise OperatorError(
            "the encoder gave a vector that is not finite; `router-extproc models verify` checks it"
        )
    heads = {name: head.probabilities(vector) for name, head in mind.heads.items()}
    return Analysis(vector, heads, encoder.encoder, len(tokens.ids), tokens.truncated)

"""`eval`: what ships, measured on labelled data."""

import asyncio
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from math import inf
from pathlib import Path

from router_extproc.app.configuration import Configuration, load
from router_extproc.app.mind import Mind
from router_extproc.app.models import find_bundle
from router_extproc.app.parallel import on_all_cores
from router_extproc.base.errors import OperatorError
from router_extproc.caching.entry import Candidate
from router_extproc.caching.policy import CachePolicy, Mode
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
from router_extproc.routing.compiled import RoutingPolicy
from router_extproc.routing.decide import decide
from router_extproc.routing.facts import Facts
from router_extproc.routing.world import World
from router_extproc.settings.routing import domain_head
from router_extproc.stores.memory import MemoryStore


def evaluate(config: Path, task: str, file: Path, *, as_json: bool) -> int:
    """Print the report of `task`: `domain`, `cache-pairs` or `cache-replay`. Raises OperatorError."""
    configuration = load(config)
    report: DomainReport | PairsReport | ReplayReport
    match task:
        case "domain":
            report = _domain(file, configuration)
        case "cache-pairs":
            report = _pairs(file, configuration)
        case _:
            report = _replay(file, configuration)
    sys.stdout.write(json.dumps(report.as_json()) + "\n" if as_json else report.as_text() + "\n")
    return 0


def _domain(file: Path, configuration: Configuration) -> DomainReport:
    rows = read_domain_rows(file)
    mind = Mind.load(find_bundle(configuration.settings), configuration)
    # A classifier with `use_as_domain` gives the categories in the shipped head's place.
    name = domain_head(configuration.settings)
    head = mind.heads.on_vector.get(name) or mind.heads.on_text[name]
    labels = [row.label for row in rows]
    check_labels(file, labels, head.labels)
    analyses = analyse(mind, {row.text for row in rows})
    return evaluate_domain(
        labels,
        [_shares(file, analyses[row.text], name) for row in rows],
        configuration.settings.classifier.category_model.threshold,
        [row.kind for row in rows],
    )


def _shares(file: Path, analysis: Analysis, head: str) -> Mapping[str, float]:
    if head in analysis.failed:
        raise OperatorError(
            f"{file}: the head {head!r} failed on a text; `router-extproc models verify` tests it"
        )
    return analysis.heads[head]


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


def _pairs(file: Path, configuration: Configuration) -> PairsReport:
    rows = read_pair_rows(file)
    mind = Mind.load(find_bundle(configuration.settings), configuration)
    plan = mind.plan(configuration)
    pairs = pairs_of(rows, mind, plan.routing)
    verdicts = judge_pairs(judge_of(mind, plan.cache), pairs)
    return evaluate_pairs(pairs, verdicts, plan.cache.default.threshold)


def pairs_of(rows: Sequence[PairRow], mind: Mind, routing: RoutingPolicy) -> list[Pair]:
    """The rows as the router sees them: encoded, and in the category that it or the row gives them."""
    analyses = analyse(mind, {text for row in rows for text in (row.a, row.b)})

    def question(text: str, category: str | None) -> Question:
        return _question(text, analyses[text], routing, category)

    return [
        Pair(question(row.a, row.category), question(row.b, row.category), row.same, row.kind) for row in rows
    ]


def judge_of(mind: Mind, policy: CachePolicy) -> Judge:
    """The cache's rule, with the verifier that the router would ask."""
    return Judge(policy, mind.verifier.same if mind.verifier else None)


def judge_pairs(judge: Judge, pairs: Sequence[Pair]) -> list[Verdict]:
    """What a cache that holds a says to b, for each pair."""
    return list(on_all_cores(partial(judge_pair, judge), pairs, len(pairs), "pairs"))


def threshold_of(policy: CachePolicy, category: str) -> float:
    """The least cosine of a semantic hit in `category`; inf where only exact matches hit, or nothing."""
    own = policy.of(category)
    return own.threshold if own.mode is Mode.SEMANTIC else inf


def _replay(file: Path, configuration: Configuration) -> ReplayReport:
    steps = read_replay_rows(file)
    mind = Mind.load(find_bundle(configuration.settings), configuration)
    plan = mind.plan(configuration)
    analyses = analyse(mind, {step.text for step in steps})
    questions = [(step, _question(step.text, analyses[step.text], plan.routing, None)) for step in steps]
    verdicts = asyncio.run(replay(questions, judge_of(mind, plan.cache), mind.encoder.dimension))
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
        category = decide(routing, None, Facts(text), analysis, World()).category
    return Question(text, analysis.vector, category, analysis.truncated)


def analyse(mind: Mind, texts: Iterable[str]) -> dict[str, Analysis]:
    """What one encoder pass says about each text. All cores work, on one text each: a vector is the same
    whatever else runs. Progress goes to stderr."""
    ordered = sorted(set(texts))
    analyses = on_all_cores(mind.analyse, ordered, len(ordered), "texts")
    return dict(zip(ordered, analyses, strict=True))

"""What each judgement of a prompt costs: the encoder's pass for the sentence vector alone, what the other
outputs add to it, and each head's own time; one thread.

All subjects of one length are measured in turn, in the same rounds. Ratios are of the processor's time, which
other processes can stretch by crowding the caches only, and are medians over the rounds. One pass reads the
whole text here, up to 512 tokens; the last two subjects begin with the text, with the router's own windows.
"""

import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto

from bench.graphs import cut, forked
from router_extproc.app.mind import Mind
from router_extproc.encoder.bundle import Bundle, default_folder, load_bundle
from router_extproc.encoder.complexity import COMPLEXITY_WEIGHTS, load_complexity
from router_extproc.encoder.graph import ATTENTION_MASK, FEATURES, INPUT_IDS, SENTENCE, TAGS
from router_extproc.encoder.guards import TrunkAttacks, TrunkTagger
from router_extproc.encoder.heads import DOMAIN_WEIGHTS, GUARD_WEIGHTS, load_head
from router_extproc.encoder.loading import Heads
from router_extproc.encoder.passage import Passage
from router_extproc.encoder.screener import Screener
from router_extproc.encoder.session import Options, SentenceEncoder, Tokens, load_session, open_encoder
from router_extproc.encoder.verifier import CrossEncoder, open_verifier
from router_extproc.screening.disguise import unveiled
from router_extproc.screening.patterns import find_patterns
from router_extproc.screening.spans import PII_TYPES

TOKENS = (16, 64, 128, 512)
"""Lengths of texts, special tokens included."""

ROUNDS = 30
SLICE = 2e-3
"""Seconds that a subject is run for in each round, at least once: a clock says little of a microsecond."""

SENTENCE_ALONE = "sentence vector alone"
REFERENCE = f"pass: {SENTENCE_ALONE}"
FORKED_LAYERS = 4
"""As many of the last layers as the trunk's fit changed."""

FILLER = "the"
ORDINARY = (
    "Please explain how a heat pump can move warmth from cold air into a house, why it needs less current"
    " than a plain heater, and what would have to be changed in an old building before one is worth it."
).split()
PERSONAL = (
    "Write to Maria Jensen, maria.jensen@example.org, born on 4 May 1987, of 18 Elm Street in Portland, who"
    " is 38 and works for Northwind as Dr. Okafor's assistant; her number is +1 202 555 0143 and her card"
    " 4111 1111 1111 1111."
).split()


@dataclass(frozen=True, slots=True)
class Subject:
    """`run` does once what is measured. Where it cannot be done at this length, `why` says why."""

    name: str
    run: Callable[[], object]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Median milliseconds over the rounds: of the clock (`wall`) and of the processor (`cpu`). `ratio` is of
    the latter, to `REFERENCE` at the same length. Of a subject that was not measured, `why` says why and the
    rest is empty."""

    subject: str
    tokens: int
    wall: float = 0.0
    cpu: float = 0.0
    ratio: float = 0.0
    why: str = ""


def run(lengths: Sequence[int] = TOKENS, rounds: int = ROUNDS) -> list[Row]:
    """The bundle in the model cache. Raises ModelError."""
    judges = Judges.load(load_bundle(default_folder(os.environ)))
    rows: list[Row] = []
    for tokens in lengths:
        rows += measured([*judges.subjects(tokens)], tokens, rounds)
    return rows


def measured(subjects: Sequence[Subject], tokens: int, rounds: int) -> list[Row]:
    """One row for each, in their order. The first is what the others are compared with."""
    asked = [subject for subject in subjects if not subject.why]
    counts = [_count(each) for each in asked]
    taken = np.empty((rounds, len(asked), 2))
    for turn in range(rounds):
        if turn % 10 == 0:
            _say(f"{tokens} tokens, round {turn + 1} of {rounds}")
        taken[turn] = [_seconds(each, count) for each, count in zip(asked, counts, strict=True)]
    millis = 1e3 * np.median(taken, axis=0)
    ratios = np.median(taken[..., 1] / taken[:, :1, 1], axis=0)
    found = {
        each.name: Row(each.name, tokens, float(wall), float(cpu), float(ratio))
        for each, (wall, cpu), ratio in zip(asked, millis, ratios, strict=True)
    }
    return [found.get(each.name, Row(each.name, tokens, why=each.why)) for each in subjects]


def _count(subject: Subject) -> int:
    """How often it is run in a round. The first run here warms it up."""
    subject.run()
    return max(1, int(SLICE / max(_seconds(subject, 1)[1], 1e-6)))


def _seconds(subject: Subject, count: int) -> tuple[float, float]:
    """By the clock and of the processor, of one of `count` runs."""
    began, used = time.perf_counter(), time.process_time()
    for _ in range(count):
        subject.run()
    return (time.perf_counter() - began) / count, (time.process_time() - used) / count


def _say(line: str) -> None:
    sys.stderr.write(f"  {line}\n")
    sys.stderr.flush()


Pass = Callable[[Tokens], list[NDArray[np.float32]]]
"""One run of a graph over a window: its outputs."""


@dataclass(frozen=True, slots=True)
class Judges:
    """Everything that judges, loaded with one thread. `passes` are the graph's forms by name, the reference
    first; `encoder` reads up to 512 tokens in one pass, `mind` as the router does."""

    passes: Mapping[str, Pass]
    encoder: SentenceEncoder
    verifier: CrossEncoder
    tagger: TrunkTagger
    attacks: TrunkAttacks
    mind: Mind

    @classmethod
    def load(cls, bundle: Bundle) -> "Judges":
        domain, guard = (
            load_head(file, bundle.base_revision, bundle.dimension)
            for file in (DOMAIN_WEIGHTS, GUARD_WEIGHTS)
        )
        complexity = load_complexity(COMPLEXITY_WEIGHTS, bundle.base_revision, bundle.dimension)
        attacks, tagger = TrunkAttacks(guard), TrunkTagger(bundle.types)
        encoder = open_encoder(bundle, Options())
        heads = Heads({"domain": domain, "complexity": complexity}, {})
        mind = Mind(bundle.base_revision, encoder, None, heads, Screener(encoder, attacks, tagger))
        whole = open_encoder(bundle, Options(max_tokens=max(TOKENS)))
        return cls(graphs(bundle), whole, open_verifier(bundle), tagger, attacks, mind)

    def subjects(self, tokens: int) -> Iterator[Subject]:
        """The reference comes first."""
        text, personal = (text_of(words, tokens, self._length) for words in (ORDINARY, PERSONAL))
        (window, *_), (named, *_) = self.encoder.windows(text), self.encoder.windows(personal)
        for name, once in self.passes.items():
            yield Subject(f"pass: {name}", _calling(once, window))
        yield Subject("tokeniser", _calling(self.encoder.tokenise, text))
        states = self.encoder.run(window).states
        for name, head in self.mind.heads.on_vector.items():
            yield Subject(f"head: {name}", _calling(head.probabilities, states))
        yield Subject("words, for the domain", _calling(self.encoder.words.evidence, window.ids))
        ordinary, full = self._reader(text, window), self._reader(personal, named)
        yield Subject("head: guard", lambda: self.attacks.attack(ordinary()))
        yield Subject("tags to spans", lambda: [*self.tagger.spans(ordinary())])
        yield Subject("tags to spans, full of personal data", lambda: [*self.tagger.spans(full())])
        yield Subject("patterns", _calling(find_patterns, text, PII_TYPES))
        yield Subject("patterns, full of personal data", _calling(find_patterns, personal, PII_TYPES))
        yield Subject("disguises", _calling(unveiled, text))
        asked = self.verifier.same(text, text) is not None
        why = "" if asked else "too long for it"
        yield Subject("verifier, one candidate", _calling(self.verifier.same, text, text), why)
        yield Subject("from the text: vector alone", lambda: self._vector(text))
        yield Subject("from the text: all judgements", lambda: self._analyse(text))

    def _length(self, text: str) -> int:
        """One more than the most for a text that is longer."""
        found = self.encoder.tokenise(text)
        return len(found.ids) + found.truncated

    def _reader(self, text: str, window: Tokens) -> Callable[[], Passage]:
        """Passages of `text` that the encoder has read."""
        known = [(window, self.encoder.run(window))]
        return lambda: Passage(text, 0, lambda _: known)

    def _vector(self, text: str) -> None:
        """With the graph that makes nothing else."""
        self.passes[SENTENCE_ALONE](self.mind.encoder.tokenise(text))

    def _analyse(self, text: str) -> None:
        """With guards that have not read it before."""
        replace(self.mind, screener=Screener(self.mind.encoder, self.attacks, self.tagger)).analyse(text)


def graphs(bundle: Bundle) -> dict[str, Pass]:
    """The forms of the graph, the reference first."""
    whole = onnx.load(str(bundle.model))
    heads = (SENTENCE, FEATURES)
    forms: dict[str, tuple[ModelProto, Collection[str]]] = {
        SENTENCE_ALONE: (cut(whole, (SENTENCE,)), (SENTENCE,)),
        "and states for heads": (cut(whole, heads), heads),
        "and tags (as shipped)": (whole, (*heads, TAGS)),
        f"as shipped, last {FORKED_LAYERS} layers twice": (forked(whole, FORKED_LAYERS), (*heads, TAGS)),
    }
    with tempfile.TemporaryDirectory(prefix="router-extproc-bench-") as folder:
        return {name: _pass(model, outputs, Path(folder)) for name, (model, outputs) in forms.items()}


def _pass(model: ModelProto, outputs: Collection[str], folder: Path) -> Pass:
    """With a session as the router's."""
    file = folder / "graph.onnx"
    file.write_bytes(model.SerializeToString())
    session = load_session(file, threads=1)

    def once(window: Tokens) -> list[NDArray[np.float32]]:
        ids = np.array([window.ids], dtype=np.int64)
        given = {INPUT_IDS: ids, ATTENTION_MASK: np.ones_like(ids)}
        said: list[NDArray[np.float32]] = session.run([*outputs], given)
        return said

    return once


def _calling(function: Callable[..., object], *given: object) -> Callable[[], object]:
    return lambda: function(*given)


def text_of(words: Sequence[str], tokens: int, length: Callable[[str], int]) -> str:
    """A text of exactly `tokens`: `words` again and again, one of one token where one does not fit. `length`
    counts a text's tokens."""
    said: list[str] = []
    for word in itertools.cycle(words):
        if length(" ".join(said)) >= tokens:
            break
        fits = length(" ".join([*said, word])) <= tokens
        said.append(word if fits else FILLER)
    return " ".join(said)


def table(rows: Sequence[Row]) -> str:
    lines = [f"{'tokens':>6}  {'subject':42}{'p50 ms':>10}{'of CPU':>10}{'/ vector alone':>16}"]
    lines += [
        f"{row.tokens:>6}  {row.subject:42}"
        + (f"{row.why:>20}" if row.why else f"{row.wall:>10.3f}{row.cpu:>10.3f}{row.ratio:>16.4f}")
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def measures(rows: Sequence[Row]) -> list[dict[str, object]]:
    """`{measure, value, unit}` for each figure."""
    found: list[dict[str, object]] = []
    for row in (row for row in rows if not row.why):
        figures = [
            ("p50", row.wall, "ms"),
            ("p50 of CPU time", row.cpu, "ms"),
            (f"CPU time / that of {REFERENCE}", row.ratio, "ratio"),
        ]
        for name, value, unit in figures:
            place = f"judgements, {row.subject}, {row.tokens} tokens: {name}"
            found.append({"measure": place, "value": round(value, 6), "unit": unit})
    return found

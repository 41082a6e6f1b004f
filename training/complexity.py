"""Fits the complexity head on the trunk's states: `python -m training.complexity --data DIR`.

The question expert is a logistic regression on answers of two models to MMLU's questions (target 1 where only
the strong one is right, 0 where only the weak one is, one half where they agree). The gate is a multinomial
logistic regression that tells those questions from plain requests and from demanding assignments. The penalty
of the expert and the temperature of the gate come from cross-validated APGR. `DIR/train` is fitted on,
`DIR/eval` is only reported. The seed fixes folds and draws, so the same data gives the same head.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from router_extproc.base.errors import OperatorError
from router_extproc.encoder import bundle, cpu, session
from router_extproc.encoder.complexity import COMPLEXITY_WEIGHTS, GatedHead, save_complexity
from router_extproc.encoder.heads import Reads
from router_extproc.evaluation.routing import RoutingReport, Threshold, evaluate_routing
from router_extproc.evaluation.rows import RoutingRow, read_domain_rows, read_routing_rows
from training.complexity_report import Fitted, Trial, render
from training.sources import Examples, draw

SEED = 20_252
DIMENSION = 384
FOLDS = 3
PENALTIES = (0.0001, 0.0003, 0.001)
"""Candidates for scikit-learn's C of the expert, over states of unit variance; smaller is smoother."""
GATE_PENALTY = 0.003
TEMPERATURES = (0.25, 0.1)
"""Candidates for the gate; lower is sharper."""
FLOOR, CEILING = 0.05, 0.95
"""P(strong) of a text that is certainly a plain request, and of one that is certainly an assignment. Nobody
measured outcomes on those sets; these say that exceptions exist."""
SPAN = 0.3
"""How far the expert lowers the ceiling of the assignment that it finds easiest."""
THRESHOLDS = (Threshold("default", 0.6, 0.4),)

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Unit:
    """A linear unit over the features: (rows, width) and (rows,)."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Questions with the outcomes of two models. `gains` is strong_ok - weak_ok, in -1, 0, 1."""

    rows: Sequence[RoutingRow]
    vectors: Matrix

    @property
    def gains(self) -> NDArray[np.int64]:
        return np.array([int(row.strong_ok) - int(row.weak_ok) for row in self.rows], dtype=np.int64)

    def report(self, head: GatedHead) -> RoutingReport:
        return self.judge(head.strong(self.vectors))

    def judge(self, strong: NDArray[np.float64]) -> RoutingReport:
        weak_ok, strong_ok = [row.weak_ok for row in self.rows], [row.strong_ok for row in self.rows]
        return evaluate_routing(weak_ok, strong_ok, strong.tolist(), thresholds=THRESHOLDS)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        fit(options.data, options.bundle, options.out, options.report)
    except OperatorError as error:
        print(f"training.complexity: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(prog="python -m training.complexity", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and eval/")
    parser.add_argument("--bundle", type=Path, default=bundle.default_folder(os.environ))
    parser.add_argument("--out", type=Path, default=COMPLEXITY_WEIGHTS)
    parser.add_argument("--report", type=Path, default=here / "reports" / "complexity.md")
    return parser


def fit(data: Path, bundle_folder: Path, out: Path, report: Path) -> None:
    """Fit, write the head to `out` and the report to `report`. Raises OperatorError."""
    options = session.Options(threads=cpu.available_threads())
    encoder = session.open_encoder(bundle.load_bundle(bundle_folder), options)
    generator = np.random.default_rng(SEED)
    requests, assignments = draw(data / "train", generator)
    easy, hard = (np.concatenate([_encode(encoder, x) for x in sets]) for sets in (requests, assignments))
    fitted_on = _outcomes(encoder, data / "train" / "routing_mmlu.jsonl")

    gate = fit_gate(fitted_on.vectors, easy, hard)
    trials = validate(fitted_on, gate)
    chosen = choose(trials)
    head = fit_head(gate, fit_expert(fitted_on.vectors, fitted_on.gains, chosen.penalty))
    head = replace(head, temperature=chosen.temperature, base_revision=encoder.base_revision)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_complexity(head, out)

    names = ("routing_mmlu.jsonl", "routing_gsm8k.jsonl")
    held = [_outcomes(encoder, data / "eval" / name) for name in names]
    cases = read_domain_rows(Path(__file__).parent / "complexity_cases.jsonl")
    strong = head.strong(encoder.states_many([row.text for row in cases]))
    fitted = Fitted(
        seed=SEED,
        folds=FOLDS,
        encoder=encoder.encoder,
        gate_penalty=GATE_PENALTY,
        floor=FLOOR,
        ceiling=CEILING,
        trials=tuple(trials),
        chosen=chosen,
        questions=len(fitted_on.rows),
        requests=tuple(requests),
        assignments=tuple(assignments),
        held=tuple((f"eval/{name}", each.report(head)) for name, each in zip(names, held, strict=True)),
        reliability=reliability(head.strong(held[0].vectors), held[0].gains),
        cases=tuple((row.label, float(each)) for row, each in zip(cases, strong, strict=True)),
    )
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(render(fitted), encoding="utf-8")
    print(report.read_text(encoding="utf-8"))


def fit_head(gate: Unit, expert: Unit) -> GatedHead:
    """A head at temperature 1, without a revision."""
    return GatedHead(
        gate=gate.weight.astype(np.float32),
        bias=gate.bias.astype(np.float32),
        expert=expert.weight[0].astype(np.float32),
        offset=float(expert.bias[0]),
        temperature=1.0,
        floor=FLOOR,
        ceiling=CEILING,
        span=SPAN,
        base_revision="",
        dimension=DIMENSION,
        reads=Reads.FEATURES,
    )


def fit_gate(questions: Matrix, easy: Matrix, hard: Matrix) -> Unit:
    kinds = np.repeat([0, 1, 2], [len(easy), len(questions), len(hard)])
    # Assignments are few: they count twice.
    weights = np.where(kinds == 2, 2.0, 1.0)
    return regress(np.concatenate([easy, questions, hard]), kinds, weights, GATE_PENALTY)


def fit_expert(questions: Matrix, gains: NDArray[np.int64], penalty: float) -> Unit:
    # A target of one half is a row on both sides with half of the weight.
    targets = (1 + gains) / 2
    sides = np.repeat([1, 0], len(questions))
    weights = np.concatenate([targets, 1 - targets])
    return regress(np.concatenate([questions, questions]), sides, weights, penalty)


def regress(states: Matrix, classes: NDArray[np.int64], weights: NDArray[np.float64], penalty: float) -> Unit:
    """Logistic regression on the features of unit variance, as a unit over the features as they are."""
    features = Reads.FEATURES.of(states, DIMENSION).astype(np.float64)
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-6
    model = LogisticRegression(C=penalty, max_iter=300)
    model.fit((features - mean) / deviation, classes, sample_weight=weights)
    weight = model.coef_ / deviation
    return Unit(weight, model.intercept_ - weight @ mean)


def validate(outcomes: Outcomes, gate: Unit) -> list[Trial]:
    """Cross-validated APGR on the questions, for each penalty and temperature. The gate, which knows no
    outcomes, is fitted once."""
    figures: dict[tuple[float, float], list[float]] = {}
    folds = KFold(FOLDS, shuffle=True, random_state=SEED)
    gains = outcomes.gains
    for fold_in, fold_out in folds.split(outcomes.vectors):
        out = Outcomes([outcomes.rows[i] for i in fold_out], outcomes.vectors[fold_out])
        for penalty in PENALTIES:
            head = fit_head(gate, fit_expert(outcomes.vectors[fold_in], gains[fold_in], penalty))
            for temperature in TEMPERATURES:
                found = out.report(replace(head, temperature=temperature)).apgr
                figures.setdefault((penalty, temperature), []).append(found)
        print(f"a fold of {len(fold_out)} questions is done")
    return [Trial(*key, float(np.mean(each)), float(np.std(each))) for key, each in figures.items()]


def choose(trials: Sequence[Trial]) -> Trial:
    """The softest gate, and then the smoothest expert, whose APGR is within one standard deviation of the
    best over the folds: questions in an exam differ from what people ask, and a softer head carries
    further."""
    best = max(trials, key=lambda trial: trial.apgr)
    good = [trial for trial in trials if trial.apgr >= best.apgr - best.deviation]
    return min(good, key=lambda trial: (-trial.temperature, trial.penalty))


def reliability(
    strong: NDArray[np.float64], gains: NDArray[np.int64], bins: int = 5
) -> tuple[tuple[float, float], ...]:
    """Equal groups of rows by P(strong): its mean, and the share of rows in which the strong model is better,
    equal ones counting half."""
    groups = np.array_split(np.argsort(strong), bins)
    return tuple((float(strong[g].mean()), float((1 + gains[g]).mean() / 2)) for g in groups)


def _encode(encoder: session.SentenceEncoder, examples: Examples) -> Matrix:
    print(f"encoding {examples.name} ({len(examples.texts)} rows)")
    return encoder.states_many(examples.texts)


def _outcomes(encoder: session.SentenceEncoder, path: Path) -> Outcomes:
    rows = read_routing_rows(path)
    print(f"encoding {path.name} ({len(rows)} rows)")
    return Outcomes(rows, encoder.states_many([row.text for row in rows]))


if __name__ == "__main__":
    sys.exit(main())

"""Fits the complexity head on frozen sentence vectors: `python -m training.complexity --data DIR`.

The question expert is a logistic regression on answers of two models to MMLU's questions (target 1 where only
the strong one is right, 0 where only the weak one is, one half where they agree). The gate is a multinomial
logistic regression that tells those questions from plain requests and from long assignments. The penalty of
the expert and the temperature of the gate come from cross-validated APGR. `DIR/train` is fitted on,
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
from router_extproc.evaluation.routing import RoutingReport, Threshold, evaluate_routing
from router_extproc.evaluation.rows import RoutingRow, read_domain_rows, read_routing_rows
from training.complexity_report import Fitted, Trial, render
from training.sources import Examples, draw

SEED = 20_252
FOLDS = 3
PENALTIES = (0.03, 0.05, 0.1)
"""Candidates for scikit-learn's C of the expert; smaller is smoother."""
GATE_PENALTY = 3.0
TEMPERATURES = (1.0, 0.5, 0.25)
"""Candidates for the gate; lower is sharper."""
FLOOR, CEILING = 0.05, 0.95
"""P(strong) of a text that is certainly a plain request, and of one that is certainly an assignment. Nobody
measured outcomes on those sets; these say that exceptions exist."""
THRESHOLDS = (Threshold("default", 0.6, 0.4),)

Matrix = NDArray[np.float32]


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

    trials = validate(fitted_on, easy, hard)
    chosen = choose(trials)
    head = fit_head(fitted_on.vectors, fitted_on.gains, easy, hard, chosen.penalty)
    head = replace(head, temperature=chosen.temperature, base_revision=encoder.base_revision)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_complexity(head, out)

    names = ("routing_mmlu.jsonl", "routing_gsm8k.jsonl")
    held = [_outcomes(encoder, data / "eval" / name) for name in names]
    cases = read_domain_rows(Path(__file__).parent / "complexity_cases.jsonl")
    strong = head.strong(encoder.encode_many([row.text for row in cases]))
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


def fit_head(
    questions: Matrix, gains: NDArray[np.int64], easy: Matrix, hard: Matrix, penalty: float
) -> GatedHead:
    """A head at temperature 1, without a revision."""
    gate = LogisticRegression(C=GATE_PENALTY, solver="newton-cholesky", max_iter=200)
    kinds = np.repeat([0, 1, 2], [len(easy), len(questions), len(hard)])
    # Assignments are few: they count twice.
    gate.fit(np.concatenate([easy, questions, hard]), kinds, sample_weight=np.where(kinds == 2, 2.0, 1.0))
    # A target of one half is a row on both sides with half of the weight.
    targets = (1 + gains) / 2
    expert = LogisticRegression(C=penalty, max_iter=1000)
    expert.fit(
        np.concatenate([questions, questions]),
        np.repeat([1, 0], len(questions)),
        sample_weight=np.concatenate([targets, 1 - targets]),
    )
    return GatedHead(
        gate=gate.coef_.astype(np.float32),
        bias=gate.intercept_.astype(np.float32),
        expert=expert.coef_[0].astype(np.float32),
        offset=float(expert.intercept_[0]),
        temperature=1.0,
        floor=FLOOR,
        ceiling=CEILING,
        base_revision="",
    )


def validate(outcomes: Outcomes, easy: Matrix, hard: Matrix) -> list[Trial]:
    """Cross-validated APGR on the questions, for each penalty and temperature."""
    figures: dict[tuple[float, float], list[float]] = {}
    folds = KFold(FOLDS, shuffle=True, random_state=SEED)
    gains = outcomes.gains
    for fold_in, fold_out in folds.split(outcomes.vectors):
        out = Outcomes([outcomes.rows[i] for i in fold_out], outcomes.vectors[fold_out])
        for penalty in PENALTIES:
            head = fit_head(outcomes.vectors[fold_in], gains[fold_in], easy, hard, penalty)
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
    return encoder.encode_many(examples.texts)


def _outcomes(encoder: session.SentenceEncoder, path: Path) -> Outcomes:
    rows = read_routing_rows(path)
    print(f"encoding {path.name} ({len(rows)} rows)")
    return Outcomes(rows, encoder.encode_many([row.text for row in rows]))


if __name__ == "__main__":
    sys.exit(main())

"""Fits the domain head on frozen sentence vectors: `python -m training.domain --data DIR`.

Multinomial logistic regression. The penalty comes from cross-validation on the training rows with the
one-standard-error rule; the temperature from the same folds' held-out logits. `DIR/train` is fitted on,
`DIR/eval` is only reported. The seed fixes folds and draws, so the same data gives the same head.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from router_extproc.base.errors import OperatorError
from router_extproc.encoder import bundle, cpu, heads, session
from router_extproc.evaluation.domain import DomainReport, evaluate_domain
from router_extproc.evaluation.rows import read_domain_rows
from training.report import Fitted, render
from training.sources import EXTRAS, Examples, extra, mmlu_pro

SEED = 20_251
PENALTIES = (0.3, 0.5, 1.0, 2.0, 4.0)
"""Candidates for scikit-learn's C; smaller is smoother."""
FOLDS = 5
TEMPERATURES = tuple(step / 100 for step in range(30, 301))

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Validation:
    """One penalty's figures on the held-out folds of the MMLU-Pro rows."""

    penalty: float
    accuracy: float
    standard_error: float
    logits: NDArray[np.float64]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        fit(options.data, options.bundle, options.out, options.report)
    except OperatorError as error:
        print(f"training.domain: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(prog="python -m training.domain", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and eval/")
    parser.add_argument("--bundle", type=Path, default=bundle.default_folder(os.environ))
    parser.add_argument("--out", type=Path, default=heads.DOMAIN_WEIGHTS)
    parser.add_argument("--report", type=Path, default=here / "reports" / "domain.md")
    return parser


def fit(data: Path, bundle_folder: Path, out: Path, report: Path) -> None:
    """Fit, write the head to `out` and the report to `report`. Raises OperatorError."""
    options = session.Options(threads=cpu.available_threads())
    encoder = session.open_encoder(bundle.load_bundle(bundle_folder), options)
    generator = np.random.default_rng(SEED)
    main_rows, held = mmlu_pro(data / "train"), mmlu_pro(data / "eval")
    drawn = [extra(data / "train", source, generator) for source in EXTRAS]
    added, rest = [pair[0] for pair in drawn], [pair[1] for pair in drawn]
    vectors, labels = _vectors(encoder, main_rows), np.array(main_rows.labels)
    extra_vectors = np.concatenate([_vectors(encoder, examples) for examples in added])
    extra_labels = np.array([label for examples in added for label in examples.labels])

    trials = [validate(vectors, labels, extra_vectors, extra_labels, penalty) for penalty in PENALTIES]
    chosen = choose(trials)
    model = _regression(chosen.penalty).fit(
        np.concatenate([vectors, extra_vectors]), np.concatenate([labels, extra_labels])
    )
    head = heads.LinearHead(
        labels=tuple(str(label) for label in model.classes_),
        weight=model.coef_.astype(np.float32),
        bias=model.intercept_.astype(np.float32),
        temperature=calibrate(chosen.logits, np.searchsorted(model.classes_, labels)),
        base_revision=encoder.base_revision,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    heads.save_head(head, out)
    fitted = Fitted(
        seed=SEED,
        folds=FOLDS,
        encoder=encoder.encoder,
        temperature=head.temperature,
        trials=tuple((trial.penalty, trial.accuracy) for trial in trials),
        penalty=chosen.penalty,
        fitted_on=(main_rows, *added),
        held_out=held,
        held_out_report=_measure(head, encoder, held),
        others=tuple((examples, _measure(head, encoder, examples)) for examples in rest),
        everyday=_measure(head, encoder, everyday()),
    )
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(render(fitted), encoding="utf-8")
    print(fitted.held_out_report.as_text())


def validate(
    vectors: Matrix,
    labels: NDArray[np.str_],
    extra_vectors: Matrix,
    extra_labels: NDArray[np.str_],
    penalty: float,
) -> Validation:
    """Cross-validate on `vectors`; the extra rows help to fit every fold and are never measured."""
    classes = np.unique(labels)
    logits = np.zeros((len(labels), len(classes)))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    for fold_in, fold_out in folds.split(vectors, labels):
        model = _regression(penalty).fit(
            np.concatenate([vectors[fold_in], extra_vectors]),
            np.concatenate([labels[fold_in], extra_labels]),
        )
        logits[fold_out] = model.decision_function(vectors[fold_out])
    right = classes[logits.argmax(axis=1)] == labels
    error = float(right.std() / np.sqrt(len(right)))
    return Validation(penalty, float(right.mean()), error, logits)


def choose(trials: Sequence[Validation]) -> Validation:
    """The strongest penalty whose accuracy is within one standard error of the best: exam questions differ
    from what people ask, and a smoother head carries further."""
    best = max(trials, key=lambda trial: trial.accuracy)
    good = [trial for trial in trials if trial.accuracy >= best.accuracy - best.standard_error]
    return min(good, key=lambda trial: trial.penalty)


def calibrate(logits: NDArray[np.float64], true: NDArray[np.int64]) -> float:
    """The temperature with the least cross-entropy on held-out logits among `TEMPERATURES`."""

    def cross_entropy(temperature: float) -> float:
        scaled = logits / temperature
        scaled -= scaled.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(scaled).sum(axis=1))
        return float((log_sum - scaled[np.arange(len(true)), true]).mean())

    return min(TEMPERATURES, key=cross_entropy)


def everyday() -> Examples:
    """Our own prompts, four or more a category, for the report only."""
    path = Path(__file__).parent / "everyday_prompts.jsonl"
    rows = read_domain_rows(path)
    texts, labels = tuple(row.text for row in rows), tuple(row.label for row in rows)
    return Examples(path.name, "Apache-2.0", texts, labels)


def _regression(penalty: float) -> LogisticRegression:
    return LogisticRegression(C=penalty, max_iter=1000, random_state=SEED)


def _vectors(encoder: session.SentenceEncoder, examples: Examples) -> Matrix:
    print(f"encoding {examples.name} ({len(examples.texts)} rows)")
    return encoder.encode_many(examples.texts)


def _measure(head: heads.LinearHead, encoder: session.SentenceEncoder, examples: Examples) -> DomainReport:
    rows = [head.probabilities(vector) for vector in _vectors(encoder, examples)]
    return evaluate_domain(examples.labels, rows)


if __name__ == "__main__":
    sys.exit(main())

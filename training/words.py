"""Fits what words say of a domain: `python -m training.words --data DIR`.

A linear classifier of words and pairs of neighbours (multinomial logistic regression over the table's rows,
counted by presence and rarity), on the questions that the trunk's domain is fitted on, each once. It knows
nothing of the trunk and needs only the tokeniser. `training.calibrate` decides how much it counts.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from router_extproc.base.errors import OperatorError
from router_extproc.encoder import bundle, session
from router_extproc.encoder.cards import Card, write_card
from router_extproc.encoder.fetch import BASE_REVISION
from router_extproc.encoder.words import WORD_WEIGHTS, Words, rows, save_words
from training.cards import fitted_on
from training.trunk_data import DOMAINS, domain, used

SEED = 20_270
ROWS = 1 << 17
RARE = 2
"""What fewer texts than this have says nothing."""

PENALTY = 0.1
"""The inverse of scikit-learn's C."""

WINDOW = 256
ITERATIONS = 200


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        tokeniser = session.load_tokeniser(bundle.load_bundle(options.bundle))
    except OperatorError as error:
        print(f"training.words: {error}", file=sys.stderr)
        return 1
    tokeniser.enable_truncation(WINDOW)
    chosen = {text.text: text.label for text in domain(options.data, Random(SEED))}  # noqa: S311 - a seeded draw
    ids = [tuple(tokeniser.encode(session.without_surrogates(text)).ids) for text in chosen]
    words = fit(ids, list(chosen.values()))
    save_words(words, options.out)
    print(f"{options.out}: {int((words.rarity > 0).sum())} of {ROWS} rows, from {len(ids)} texts")
    card(options.data, options.out)
    return 0


def fit(ids: Sequence[tuple[int, ...]], labels: Sequence[int]) -> Words:
    """Token ids of windows, special ones included, and their classes, every one of DOMAINS among them."""
    found = [rows(each, ROWS) for each in ids]
    starts = np.cumsum([0, *map(len, found)])
    columns = np.concatenate(found)
    texts = np.bincount(columns, minlength=ROWS)
    rarity = np.where(texts >= RARE, np.log((1 + len(ids)) / (1 + texts)) + 1, 0).astype(np.float16)
    counts = csr_matrix((rarity[columns].astype(np.float64), columns, starts), shape=(len(ids), ROWS))
    model = LogisticRegression(C=1 / PENALTY, max_iter=ITERATIONS).fit(normalize(counts), labels)
    return Words(model.coef_.T.astype(np.float16), rarity, BASE_REVISION)


def card(data: Path, path: Path) -> None:
    write_card(
        path,
        Card(
            reads="words and pairs of neighbours in a window of up to 256 tokens",
            calibration="with the domain head",
            labels=DOMAINS,
            fitted_on=fitted_on(used(data)["domain"]),
            licence="Apache-2.0",
            limits=("English only; counts words, not what is said with them.",),
            report="training/REPORT.md",
        ),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.words", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and eval/")
    parser.add_argument("--bundle", type=Path, default=bundle.default_folder(os.environ))
    parser.add_argument("--out", type=Path, default=WORD_WEIGHTS)
    return parser


if __name__ == "__main__":
    sys.exit(main())

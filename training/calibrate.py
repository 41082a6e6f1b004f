"""Makes the probabilities of the heads that were fitted with the trunk mean what they say, and writes their
cards: `python -m training.calibrate --data DIR`.

Reads the built graph, because quantising moves logits. The domain's temperature (Guo et al. 2017) comes from
MMLU's questions of the routing set, which neither the trunk was fitted on nor the report measures the domain
on. Run it after `training.trunk` and `router-extproc models build`, and build again afterwards.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_extproc.base.errors import OperatorError
from router_extproc.encoder import bundle, cpu, heads, session
from router_extproc.encoder.cards import Card, write_card
from router_extproc.encoder.trunk import TRUNK_WEIGHTS
from training.cards import fitted_on
from training.leakage import Held, texts_of
from training.sources import read_rows
from training.trunk_data import DOMAINS, SUBJECTS, used

TEMPERATURES = tuple(step / 100 for step in range(30, 401))
ENGLISH = "English only, but for what the base model happens to know of other languages."


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.calibrate", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and eval/")
    parser.add_argument("--bundle", type=Path, default=bundle.default_folder(os.environ))
    options = parser.parse_args(arguments)
    try:
        run(options.data, options.bundle)
    except OperatorError as error:
        print(f"training.calibrate: {error}", file=sys.stderr)
        return 1
    return 0


def run(data: Path, folder: Path) -> None:
    opened = bundle.load_bundle(folder)
    encoder = session.open_encoder(opened, session.Options(threads=cpu.available_threads()))
    head = heads.load_head(heads.DOMAIN_WEIGHTS, opened.base_revision, opened.dimension)
    texts, labels = unseen(data)
    print(f"calibrating the domain on {len(texts)} questions")
    plain = replace(head, temperature=1.0)
    logits = np.log(np.maximum(plain.rows(encoder.states_many(texts)), 1e-12))
    places = np.array([head.labels.index(label) for label in labels])
    temperature = head.temperature * best_temperature(logits, places) if head.temperature == 1.0 else None
    if temperature is None:
        raise OperatorError("the domain head is calibrated already; fit the trunk again first")
    heads.save_head(replace(head, temperature=temperature), heads.DOMAIN_WEIGHTS)
    print(f"temperature {temperature:.2f}")
    cards(data)


def unseen(data: Path) -> tuple[list[str], list[str]]:
    """MMLU's questions of `eval/routing_mmlu.jsonl` and their domains, without those near a question that was
    fitted on or is measured."""
    files = (data / "train" / "domain_mmlu_pro.jsonl", data / "eval" / "domain_mmlu_pro.jsonl")
    held = Held([text for file in files for text in texts_of(file)])
    domains = {subject: domain for domain, names in SUBJECTS.items() for subject in names.split()}
    rows = [
        (str(row["text"]).split("\nA. ")[0], domains[str(row["subject"])])
        for row in read_rows(data / "eval" / "routing_mmlu.jsonl")
        if str(row["subject"]) in domains
    ]
    kept = [(text, label) for text, label in rows if not held.is_near(text)]
    return [text for text, _ in kept], [label for _, label in kept]


def best_temperature(logits: NDArray[np.float64], places: NDArray[np.int64]) -> float:
    """The one of `TEMPERATURES` with the least cross-entropy."""

    def cross_entropy(temperature: float) -> float:
        scaled = logits / temperature
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        total = np.log(np.exp(scaled).sum(axis=1))
        return float((total - scaled[np.arange(len(places)), places]).mean())

    return min(TEMPERATURES, key=cross_entropy)


def cards(data: Path) -> None:
    """What a person should know of each file."""
    rows = used(data)
    report = "training/REPORT.md"
    write_card(
        TRUNK_WEIGHTS,
        Card(
            reads="the text, windows of up to 256 tokens",
            calibration="none",
            fitted_on=fitted_on({name: count for task in rows.values() for name, count in task.items()}),
            licence="Apache-2.0",
            limits=(
                ENGLISH,
                "Names, places and organisations that stand alone are often missed or invented.",
            ),
            report=report,
        ),
    )
    for path, task, calibration in (
        (heads.DOMAIN_WEIGHTS, "domain", "temperature"),
        (heads.GUARD_WEIGHTS, "guard", "none"),
    ):
        write_card(
            path,
            Card(
                reads="mean states of layers 3 to 6 and the last [CLS]",
                calibration=calibration,
                labels=DOMAINS if task == "domain" else ("benign", "jailbreak"),
                fitted_on=fitted_on(rows[task]),
                licence="Apache-2.0",
                limits=(ENGLISH,),
                report=report,
            ),
        )


if __name__ == "__main__":
    sys.exit(main())

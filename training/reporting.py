"""Measures what ships on every set and writes `REPORT.md`: `python -m training.reporting --data DIR`.

Every figure is one that `router-extproc eval` prints, so that anyone can print it again. `errors.md`, written
by hand after looking at what went wrong, is put at the end.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from router_extproc.screening.spans import QUASI_IDENTIFIERS
from training.published import ROUTELLM, SOURCE
from training.sources import read_rows
from training.tables import confusion, percent, reliability, table, types_found

HERE = Path(__file__).parent
Report = Mapping[str, Any]

DOMAIN = {
    "MMLU-Pro, unseen": "domain_mmlu_pro.jsonl",
    "everyday prompts of our own": "everyday_b.jsonl",
    "everyday prompts that the head was calibrated on": "everyday.jsonl",
}
GUARD = {
    "our own cases": "guard.jsonl",
    "Tensor Trust": "jailbreak_tensortrust.jsonl",
    "self-reminder": "jailbreak_selfreminder.jsonl",
    "PIGuard's validation set": "guard_piguard_valid.jsonl",
}
PLAIN = {
    "AdvBench": "harmful_plain_advbench_behaviors.jsonl",
    "StrongREJECT": "harmful_plain_strongreject_dataset.jsonl",
    "HarmBench": "harmful_plain_harmbench_behaviors_text_all.jsonl",
}
ROUTING = {"MMLU": "routing_mmlu.jsonl", "GSM8K": "routing_gsm8k.jsonl"}


@dataclass(frozen=True, slots=True)
class Ordinary:
    """Prompts in which nobody is meant: the first `rows` of `file`, all where it is None; `family`: only
    those of it."""

    name: str
    file: str
    key: str = "text"
    rows: int | None = None
    family: str | None = None


ORDINARY = (
    Ordinary("everyday prompts of our own", "everyday_b.jsonl"),
    Ordinary("our own cases, ordinary", "guard.jsonl", family="ordinary"),
    Ordinary("Banking77, test set", "intents_banking77_test.jsonl", rows=500),
    Ordinary("MMLU-Pro, unseen", "domain_mmlu_pro.jsonl", rows=500),
    Ordinary("GSM8K", "routing_gsm8k.jsonl", key="prompt", rows=300),
)
ALLOWED = 0.01
"""The share of ordinary prompts that may be flagged."""

BESIDE = (
    "The two models and their answers are the same, the rows are not: theirs are the whole test sets without "
    "what was near their training data, ours the part of them that was held out. On MMLU our head was "
    "fitted on 8,472 questions of the same test set, theirs on the 1,500 of its validation set or on none: "
    "there the comparison flatters ours. On GSM8K nothing of ours was fitted on anybody's answers. Their "
    "matrix factorisation and SW ranking read vectors of an embedding model behind an API, the others are "
    "BERT base and Llama 3 8B; ours is a linear head on the one pass. They average ten points of "
    "the curve for APGR, ours is its integral."
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.reporting", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and eval/")
    parser.add_argument("--out", type=Path, default=HERE / "REPORT.md")
    options = parser.parse_args(arguments)
    options.out.write_text("\n\n".join(parts(options.data)) + "\n", encoding="utf-8")
    return 0


def parts(data: Path) -> Iterable[str]:
    yield "# What the heads get right and wrong"
    yield (
        "Written by `python -m training.reporting`, but for the last section. Nothing measured here was "
        "fitted on; rows of the domain's and the guard's training sets that are nearly a measured text "
        "were left out (`python -m training.leakage`)."
    )
    yield from domain(data)
    yield from guard(data)
    yield from pii(data)
    yield from routing(data)
    errors = HERE / "errors.md"
    if errors.exists():
        yield errors.read_text(encoding="utf-8").rstrip()


def domain(data: Path) -> Iterable[str]:
    yield "## Domain"
    found = {name: evaluate("domain", _file(data, file)) for name, file in DOMAIN.items()}
    keys = ("n", "accuracy", "macro_f1", "calibration_error")
    yield table(
        ("set", "rows", "accuracy", "macro F1", "calibration error", "coverage as shipped", "accuracy there"),
        [
            (name, *(each[key] for key in keys), each["shipped"]["coverage"], each["shipped"]["accuracy"])
            for name, each in found.items()
        ],
    )
    for name, each in found.items():
        yield f"### {name}"
        yield "What is true (rows) and what was said (columns)."
        yield confusion(each["confusion"])
        yield "By the probability of what was said."
        yield reliability(each["reliability"])
        yield table(
            ("category", "rows", "precision", "recall", "F1"),
            [(x["label"], x["rows"], x["precision"], x["recall"], x["f1"]) for x in each["per_label"]],
        )
        if each.get("kinds"):
            yield table(
                ("kind", "rows", "accuracy"),
                [(kind, x["rows"], x["accuracy"]) for kind, x in each["kinds"].items()],
            )


def guard(data: Path) -> Iterable[str]:
    yield "## Attacks on the instructions"
    yield "False positives first: `FPR` is the share of innocent rows that the shipped threshold blocks."
    found = {name: evaluate("guard", _file(data, file)) for name, file in GUARD.items()}
    columns = ("rows", "FPR", "recall", "precision", "AUC", "calibration error")
    keys = ("n", "false_positive_rate", "recall", "precision", "auc", "calibration_error")
    yield table(("set", *columns), [(name, *(each[key] for key in keys)) for name, each in found.items()])
    counts = ("false_positives", "true_negatives", "true_positives", "false_negatives")
    yield table(
        ("set", "innocent, blocked", "innocent, passed", "attacks, blocked", "attacks, passed"),
        [(name, *(each["confusion"][key] for key in counts)) for name, each in found.items()],
    )
    yield "Our own cases by family; none of them was fitted on."
    families = found["our own cases"]["families"]
    of_family = ("n", "attacks", "auc_of_all", "recall", "false_positive_rate")
    yield table(
        ("family", "rows", "attacks", "AUC against all rows", "recall", "FPR"),
        [(name, *(x[key] for key in of_family)) for name, x in families.items()],
    )
    yield (
        "What becomes of attacks that nothing like was fitted on: "
        "[one family left out](reports/leave_one_out.md)."
    )
    for name in ("our own cases", "PIGuard's validation set"):
        yield f"By the probability of an attack, {name}."
        yield reliability(found[name]["reliability"], "mean probability", "share of attacks")
    yield "Plainly harmful requests that do not attack the instructions: not what this guard is for."
    plain = {name: evaluate("guard", _file(data, file)) for name, file in PLAIN.items()}
    yield table(("set", "rows", "flagged"), [(name, x["n"], x["recall"]) for name, x in plain.items()])


def pii(data: Path) -> Iterable[str]:
    yield "## Personal data"
    yield from ordinary(data)
    found = evaluate("pii", _file(data, "pii_presidio_synth.jsonl"))
    yield "Presidio's synthetic sentences, templates that were not fitted on."
    keys = ("rows", "entity_f1", "precision", "recall", "clean_rows", "clean_rows_flagged")
    yield table(
        ("rows", "F1", "precision", "recall", "clean rows", "of them flagged"), [[found[key] for key in keys]]
    )
    of_type = ("entities", "found", "precision", "recall", "f1")
    yield table(
        ("type", "entities", "found", "precision", "recall", "F1"),
        [(name, *(x[key] for key in of_type)) for name, x in found["per_type"].items()],
    )


def ordinary(data: Path) -> Iterable[str]:
    """What is found in prompts in which nobody is meant. False positives come first."""
    quasi = ", ".join(sorted(QUASI_IDENTIFIERS))
    yield (
        f"Ordinary prompts, taken as they are: what is found in them is mostly a topic, or made up for an "
        f"exercise. {quasi} by themselves identify nobody; the last but one column is without them. "
        f"The aim is at most {percent(ALLOWED)} there."
    )
    lines = []
    with TemporaryDirectory(prefix="router-extproc-") as scratch:
        for each in ORDINARY:
            file = Path(scratch) / each.file
            rows = as_clean(read_rows(_file(data, each.file)), each)
            file.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
            lines.append((each.name, evaluate("pii", file)))
    yield table(
        ("set", "rows", "flagged", "by a type that identifies a person", "found"),
        [
            (
                name,
                x["rows"],
                percent(x["rows_flagged"]),
                percent(x["rows_identified"]),
                types_found(x["per_type"]),
            )
            for name, x in lines
        ],
    )


def as_clean(rows: Sequence[Mapping[str, object]], source: Ordinary) -> list[dict[str, object]]:
    """The rows that `source` names, as rows of personal data with none in them."""
    wanted = [row for row in rows if source.family is None or row["family"] == source.family]
    return [{"text": row[source.key], "spans": []} for row in wanted[: source.rows]]


def routing(data: Path) -> Iterable[str]:
    yield "## Complexity"
    yield "Random routing has an APGR of 0.5. [More](reports/complexity.md)."
    found = {name: evaluate("routing", _file(data, file)) for name, file in ROUTING.items()}
    yield table(
        ("set", "rows", "APGR", "CPT(50)", "CPT(80)"),
        [(name, each["n"], each["apgr"], each["cpt50"], each["cpt80"]) for name, each in found.items()],
    )
    if thresholds := [row for name, each in found.items() for row in shipped(name, each)]:
        yield "At the thresholds of the configuration."
        yield table(
            ("set", "signal", "`easy_below`", "easy", "`hard_above`", "strong calls", "gap recovered"),
            thresholds,
        )
    for name, each in found.items():
        yield f"### Beside RouteLLM's routers on {name}"
        yield beside(name, each)
    yield f"Theirs as published: {SOURCE}. {BESIDE}"


def shipped(name: str, found: Report) -> list[tuple[object, ...]]:
    """What each complexity signal of the configuration does on the set `name`."""
    return [
        (
            name,
            each["threshold"]["name"],
            each["threshold"]["easy_below"],
            each["easy_share"],
            each["threshold"]["hard_above"],
            each["at"]["strong_share"],
            each["at"]["pgr"],
        )
        for each in found["shipped"]
    ]


def beside(name: str, found: Report) -> str:
    """Ours first, then what RouteLLM published, the highest APGR first."""
    theirs = sorted(ROUTELLM[name], key=lambda each: -each.apgr)
    return table(
        ("router", "fitted on", "APGR", "CPT(50)", "CPT(80)"),
        [
            ("**ours**", "see above", found["apgr"], found["cpt50"], found["cpt80"]),
            *((each.router, each.fitted_on, each.apgr, each.cpt50, each.cpt80) for each in theirs),
        ],
    )


def evaluate(task: str, file: Path) -> Report:
    """What `router-extproc eval` prints of `file`."""
    print(f"{task}: {file.name}", flush=True)
    command = (sys.executable, "-m", "router_extproc", "eval", task, str(file), "--json")
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)  # noqa: S603
    report: Report = json.loads(result.stdout)
    return report


def _file(data: Path, name: str) -> Path:
    own = HERE / "cases" / name
    return own if own.exists() else data / "eval" / name


if __name__ == "__main__":
    sys.exit(main())

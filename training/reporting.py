"""Measures what ships on every set and writes `REPORT.md`: `python -m training.reporting --data DIR`.

Every figure is one that `router-extproc eval` prints, so that anyone can print it again. `errors.md`, written
by hand after looking at what went wrong, is put at the end.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
Report = Mapping[str, Any]

DOMAIN = {"MMLU-Pro, unseen": "domain_mmlu_pro.jsonl", "everyday prompts of our own": "everyday.jsonl"}
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
    yield "Our own cases by family; none of them was fitted on."
    families = found["our own cases"]["families"]
    of_family = ("n", "attacks", "auc_of_all", "recall", "false_positive_rate")
    yield table(
        ("family", "rows", "attacks", "AUC against all rows", "recall", "FPR"),
        [(name, *(x[key] for key in of_family)) for name, x in families.items()],
    )
    yield "Plainly harmful requests that do not attack the instructions: not what this guard is for."
    plain = {name: evaluate("guard", _file(data, file)) for name, file in PLAIN.items()}
    yield table(("set", "rows", "flagged"), [(name, x["n"], x["recall"]) for name, x in plain.items()])


def pii(data: Path) -> Iterable[str]:
    yield "## Personal data"
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


def routing(data: Path) -> Iterable[str]:
    yield "## Complexity"
    yield "Random routing has an APGR of 0.5. [More](reports/complexity.md)."
    found = {name: evaluate("routing", _file(data, file)) for name, file in ROUTING.items()}
    yield table(
        ("set", "APGR", "CPT(50)", "CPT(80)"),
        [(name, each["apgr"], each["cpt50"], each["cpt80"]) for name, each in found.items()],
    )


def evaluate(task: str, file: Path) -> Report:
    """What `router-extproc eval` prints of `file`."""
    print(f"{task}: {file.name}", flush=True)
    command = (sys.executable, "-m", "router_extproc", "eval", task, str(file), "--json")
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)  # noqa: S603
    report: Report = json.loads(result.stdout)
    return report


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *([_shown(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _shown(cell: object) -> str:
    if cell is None:
        return ""
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)


def _file(data: Path, name: str) -> Path:
    own = HERE / "cases" / name
    return own if own.exists() else data / "eval" / name


if __name__ == "__main__":
    sys.exit(main())

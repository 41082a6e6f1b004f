"""What the guard makes of attacks of a kind that it has not seen:
`python -m training.leave_one_out --data DIR`.

Fits a small trunk with the guard's head, and with the sentence vector held as in `training.trunk`, once on
all families and once without each. Writes `reports/leave_one_out.md` after every fit, so that an interrupted
run leaves what it found. A fit takes about two minutes on one core.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor

from router_extproc.base.errors import OperatorError
from router_extproc.encoder import bundle, cpu, session
from router_extproc.evaluation.guard import GuardReport, evaluate_guard
from training.bert import LowRankBert
from training.families import (
    SETS,
    Fit,
    Group,
    Measured,
    case_families,
    concerning,
    groups,
    render,
    set_aside,
    window,
    without,
)
from training.guard_text import GuardRow
from training.sources import read_rows
from training.trunk import SEED, features, run, unfitted
from training.trunk_data import CASES, guard_families, vectors
from training.trunk_tasks import CLS, SEP, Encoded, Text, encode

HERE = Path(__file__).parent
WINDOW = 96
"""Tokens of a fitted window without the special ones: what is shorter costs less, and most rows are."""

TOKENS = 300_000
"""Tokens of the guard's rows in an epoch."""

VECTORS = 0.15
"""Tokens of the texts whose vector is held, for each of those."""

ASIDE = 100
"""Texts of a family that nobody is fitted on, at most."""

READ, WINDOWS = 158, 3
"""A measured text is read in windows of so many tokens, as many at most; its score is the highest."""

INNOCENT = ("ordinary", "tricky", "sensitive")
THRESHOLD = 0.5
"""Only the report's shape needs one; what is shown has its own."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        leave_out(options)
    except OperatorError as error:
        print(f"training.leave_one_out: {error}", file=sys.stderr)
        return 1
    return 0


def leave_out(options: argparse.Namespace) -> None:
    """Fit and measure every group, and write the report. Raises OperatorError."""
    tokeniser = session.load_tokeniser(bundle.load_bundle(options.bundle))
    random = Random(SEED)  # noqa: S311 - a seeded draw
    rows = list(guard_families(options.data, random, SEED))
    held = list(vectors(options.data, random))
    chosen = groups((row.family for row in rows if row.label), options.families)
    rows, aside = set_aside(rows, options.aside, random)
    random.shuffle(rows)
    random.shuffle(held)
    measured, innocent = sets(options.data, aside, options.aside)
    settings = f"{options.epochs} epoch of {options.tokens:,} tokens, windows of {WINDOW}"
    fits: list[Fit] = []
    for group in (Group(frozenset()), *chosen):
        began = time.monotonic()
        kept = without(rows, group)
        torch.manual_seed(SEED)
        model = unfitted(options.base)
        number = fit(model, tokeniser, kept, held, options.tokens, options.epochs)
        wanted = concerning(group, measured) if group.families else used_by(chosen, measured)
        fits.append(Fit(group, number, judge(model, tokeniser, wanted, innocent)))
        options.out.write_text(render(fits, measured, len(innocent), settings) + "\n", encoding="utf-8")
        print(f"without {group.name}: {number} rows, {time.monotonic() - began:.0f} seconds", flush=True)


def used_by(chosen: Sequence[Group], measured: Sequence[Measured]) -> list[Measured]:
    return concerning(Group(frozenset[str]().union(*(group.families for group in chosen))), measured)


def sets(data: Path, aside: dict[str, list[str]], most: int) -> tuple[list[Measured], list[str]]:
    """Every set of attacks that is measured, at most twice `most` texts of the public ones, and the innocent
    prompts."""
    cases = read_rows(CASES / "guard.jsonl")
    found = [Measured(f"set aside: {name}", frozenset([name]), tuple(texts)) for name, texts in aside.items()]
    for called, family in case_families(aside).items():
        if texts := tuple(str(row["text"]) for row in cases if row["family"] == called):
            found.append(Measured(f"cases: {called}", frozenset([family]), texts))
    trust = read_rows(data / "eval" / "jailbreak_tensortrust.jsonl")
    public = {
        "self-reminder": read_rows(data / "eval" / "jailbreak_selfreminder.jsonl"),
        "Tensor Trust, hijacking": [row for row in trust if row["kind"] == "hijacking"],
        "Tensor Trust, extraction": [row for row in trust if row["kind"] == "extraction"],
        "PIGuard's validation set": read_rows(data / "eval" / "guard_piguard_valid.jsonl"),
    }
    for name, of in SETS.items():
        texts = tuple(str(row["text"]) for row in public[name] if row["label"] == 1)
        found.append(Measured(name, frozenset(of), texts[: 2 * most]))
    return found, [str(row["text"]) for row in cases if row["family"] in INNOCENT]


def fit(
    model: LowRankBert,
    tokeniser: Tokenizer,
    rows: Sequence[GuardRow],
    held: Sequence[Text],
    tokens: int,
    epochs: int,
) -> int:
    """Fit `model` on the first of `rows`, about `tokens` of them, and say how many those were."""
    guard = [Text("guard", row.text, row.label) for row in rows]
    texts, encoded = _first(tokeniser, guard, tokens)
    more, ids = _first(tokeniser, held, int(VECTORS * tokens))
    run(model, [*texts, *more], [*encoded, *ids], epochs)
    return len(texts)


def _first(tokeniser: Tokenizer, texts: Sequence[Text], tokens: int) -> tuple[list[Text], list[Encoded]]:
    """The first texts with `tokens` tokens together, cut to a window each."""
    random = Random(SEED)  # noqa: S311 - a seeded draw
    chosen: list[Encoded] = []
    for text in texts:
        ids = window(encode(tokeniser, text).ids, WINDOW, random)
        tokens -= len(ids) + 2
        if tokens < 0:
            break
        chosen.append(Encoded(ids, [0] * len(ids)))
    return list(texts[: len(chosen)]), chosen


def judge(
    model: LowRankBert, tokeniser: Tokenizer, measured: Sequence[Measured], innocent: Sequence[str]
) -> dict[str, GuardReport]:
    """Of each set, its attacks against all innocent prompts."""
    low = scores(model, tokeniser, innocent)
    found = {}
    for each in measured:
        high = scores(model, tokeniser, each.texts)
        labels = [True] * len(high) + [False] * len(low)
        found[each.name] = evaluate_guard(labels, [*high, *low], THRESHOLD)
    return found


def scores(model: LowRankBert, tokeniser: Tokenizer, texts: Sequence[str]) -> list[float]:
    """The probability that each text is an attack, the highest of its windows."""
    windows: list[tuple[int, list[int]]] = []
    for place, text in enumerate(texts):
        ids = encode(tokeniser, Text("guard", text)).ids
        starts = range(0, max(1, len(ids)), READ)[:WINDOWS]
        windows += [(place, [CLS, *ids[start : start + READ], SEP]) for start in starts]
    windows.sort(key=lambda each: len(each[1]))
    found = [0.0] * len(texts)
    for start in range(0, len(windows), 32):
        part = windows[start : start + 32]
        ids, mask = padded([ids for _, ids in part])
        with torch.no_grad():
            logits = model.unit("guard", features(model.states(ids, mask), mask))
        for (place, _), score in zip(part, torch.softmax(logits, dim=1)[:, 1].tolist(), strict=True):
            found[place] = max(found[place], score)
    return found


def padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """int64 (batch, sequence) and its bool mask."""
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *([0] * (width - len(row)))] for row in rows], dtype=torch.long)
    lengths = torch.tensor([len(row) for row in rows])
    return ids, torch.arange(width)[None, :] < lengths[:, None]


def _parser() -> argparse.ArgumentParser:
    folder = bundle.default_folder(os.environ)
    parser = argparse.ArgumentParser(prog="python -m training.leave_one_out", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and eval/")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--families", help="groups to leave out: a,b+c; by default every one")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="tokens of an epoch")
    parser.add_argument("--aside", type=int, default=ASIDE, help="texts of a family that are only measured")
    parser.add_argument("--threads", type=int, default=cpu.available_threads())
    parser.add_argument("--base", type=Path, default=folder.parent / "minilm-l6-v2-base")
    parser.add_argument("--bundle", type=Path, default=folder)
    parser.add_argument("--out", type=Path, default=HERE / "reports" / "leave_one_out.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())

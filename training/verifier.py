"""Fits the verifier on labelled pairs: `python -m training.verifier --data DIR`.

Low-rank changes of the encoder's weights, biases, layer norms and a linear unit, by cross-entropy; pairs in
both orders. `DIR/train` is fitted on but for the pairs held out, on which the temperature and the shift are
fitted and precision is looked at. The seed fixes the split, the order and the first weights. PyTorch is
needed here and nowhere else.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from router_extproc.base.errors import OperatorError
from router_extproc.encoder import bundle, cpu, fetch, session
from router_extproc.encoder.adapter import DOWN, UP, VERIFIER_WEIGHTS, Adapter, load_adapter, save_adapter
from router_extproc.encoder.graph import HEAD_WEIGHT
from training.bert import SCALE, LowRankBert
from training.pairs import NAMES, Pair, Split, our_pairs, own_pairs, split

SEED = 20_260
RANK = 32
EPOCHS = 4
BATCH = 64
RATE = 6e-4
LATER_RATE = 3e-4
"""Where an earlier fit is gone on from."""
WARM_UP = 0.06
DECAY = 0.01
CLIP = 1.0
DROPPED = 0.1
MAX_SIDE = 120
"""Tokens of each text. The verifier judges pairs of up to 256 together."""
CLS, SEP = 101, 102
OUR_SHARE = 2
"""How often a pair of ours comes in an epoch: Quora's are twenty times as many, and of one kind."""

UNIT = "head"
"""The linear unit's name in the adapter's file, `graph.HEAD_WEIGHT` and `HEAD_BIAS`."""
THRESHOLD = 0.85
"""What the router ships with; chosen by measurement, see `reports/verifier.md`."""


@dataclass(frozen=True, slots=True)
class Calibration:
    temperature: float
    shift: float


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        fit(options)
    except OperatorError as error:
        print(f"training.verifier: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    folder = bundle.default_folder(os.environ)
    parser = argparse.ArgumentParser(prog="python -m training.verifier", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/")
    parser.add_argument("--own", type=Path, help="JSON Lines of {a, b, same}, fitted on too")
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--base", type=Path, default=folder.parent / "minilm-l6-v2-base")
    parser.add_argument("--bundle", type=Path, default=folder)
    parser.add_argument("--out", type=Path, default=VERIFIER_WEIGHTS)
    return parser


def fit(options: argparse.Namespace) -> None:
    """Fit and write the weights to `options.out`. Raises OperatorError."""
    random = Random(SEED)  # noqa: S311 - a seeded draw, no secret
    torch.set_num_threads(cpu.available_threads())
    opened = bundle.load_bundle(options.bundle)
    encoder = session.open_encoder(opened, session.Options(threads=cpu.available_threads()))
    data = split(options.data / "train", encoder, random)
    ours = OUR_SHARE * our_pairs()
    pairs = [*data.fitting, *ours, *(own_pairs(options.own) if options.own else ())]
    weights = next(file for file in fetch.BASE_FILES if file.name == fetch.WEIGHTS)
    base = safetensors.numpy.load(fetch.read_verified(options.base, weights))
    config = next(file for file in fetch.BASE_FILES if file.name == fetch.CONFIG)
    shape = bundle.shape_of(fetch.read_verified(options.base, config))
    generator = torch.Generator().manual_seed(SEED)
    model = LowRankBert(base, shape, RANK, generator)
    model.add_unit(UNIT, 1, shape.dimension, generator)
    if options.start:
        before = load_adapter(options.start, fetch.BASE_REVISION)
        model.start_from({**before.factors, **before.whole})
    tokens = Tokens(session.load_tokeniser(opened))
    run(model, tokens, pairs, options.epochs, random, LATER_RATE if options.start else RATE)
    logits = scores(model, tokens, data.held_out)
    calibration = calibrate(logits, np.array([pair.same for pair in data.held_out]))
    print(figures(logits, data, calibration))
    _save(model, calibration, NAMES + (", own pairs" if options.own else ""), options.out)


class Tokens:
    """A pair as ids: [CLS] a [SEP] b [SEP]. Remembers the ids of each text."""

    def __init__(self, tokeniser: Tokenizer) -> None:
        self._tokeniser = tokeniser
        self._ids: dict[str, list[int]] = {}

    def of(self, text: str) -> list[int]:
        if text not in self._ids:
            clean = session.without_surrogates(text)
            self._ids[text] = self._tokeniser.encode(clean, add_special_tokens=False).ids[:MAX_SIDE]
        return self._ids[text]

    def length(self, pair: Pair) -> int:
        return len(self.of(pair.a)) + len(self.of(pair.b))

    def batch(self, pairs: Sequence[tuple[str, str]]) -> tuple[torch.Tensor, torch.Tensor]:
        rows = [[CLS, *self.of(a), SEP, *self.of(b), SEP] for a, b in pairs]
        ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
        lengths = torch.tensor([len(row) for row in rows])
        return ids, torch.arange(ids.shape[1])[None, :] < lengths[:, None]


def run(
    model: LowRankBert, tokens: Tokens, pairs: Sequence[Pair], epochs: int, random: Random, rate: float
) -> None:
    steps = epochs * -(-len(pairs) // BATCH)
    matrices = [tensor for tensor in model.fitted.values() if tensor.dim() > 1]
    rest = [tensor for tensor in model.fitted.values() if tensor.dim() <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": DECAY}, {"params": rest, "weight_decay": 0.0}], lr=rate
    )
    loss_of = torch.nn.functional.binary_cross_entropy_with_logits
    step, began = 0, time.monotonic()
    for _ in range(epochs):
        for batch in _batches(tokens, pairs, random):
            for group in optimiser.param_groups:
                group["lr"] = rate * min(1.0, (step + 1) / (WARM_UP * steps)) * (1 - step / steps)
            sides = [(p.b, p.a) if random.random() < 0.5 else (p.a, p.b) for p in batch]
            same = torch.tensor([float(pair.same) for pair in batch])
            loss = loss_of(logits(model, *tokens.batch(sides), DROPPED), same)
            loss.backward()
            torch.nn.utils.clip_grad_norm_([*matrices, *rest], CLIP)
            optimiser.step()
            optimiser.zero_grad()
            step += 1
            if step % 50 == 0:
                speed = step * BATCH / (time.monotonic() - began)
                print(f"step {step} of {steps}  loss {loss.item():.3f}  {speed:.0f} pairs/s", flush=True)


def _batches(tokens: Tokens, pairs: Sequence[Pair], random: Random) -> Iterator[list[Pair]]:
    """All pairs once, in batches of about equal length: padding is work for nothing."""
    shuffled = random.sample(pairs, len(pairs))
    batches: list[list[Pair]] = []
    for start in range(0, len(shuffled), BATCH * 50):
        group = sorted(shuffled[start : start + BATCH * 50], key=tokens.length)
        batches += [group[place : place + BATCH] for place in range(0, len(group), BATCH)]
    random.shuffle(batches)
    return iter(batches)


def logits(model: LowRankBert, ids: torch.Tensor, mask: torch.Tensor, dropped: float = 0.0) -> torch.Tensor:
    """The unit over the vector of [CLS], float32 (batch,)."""
    first = model.states(ids, mask, dropped)[-1][:, 0]
    return model.unit(UNIT, torch.nn.functional.dropout(first, dropped, dropped > 0))[:, 0]


def scores(model: LowRankBert, tokens: Tokens, pairs: Sequence[Pair]) -> NDArray[np.float64]:
    """The logit of each pair, b asked where a is held."""
    found = np.zeros(len(pairs))
    order = sorted(range(len(pairs)), key=lambda place: tokens.length(pairs[place]))
    with torch.no_grad():
        for start in range(0, len(order), 2 * BATCH):
            places = order[start : start + 2 * BATCH]
            sides = [(pairs[place].b, pairs[place].a) for place in places]
            found[places] = logits(model, *tokens.batch(sides)).numpy()
    return found


def calibrate(logits: NDArray[np.float64], same: NDArray[np.bool_]) -> Calibration:
    """Platt's scaling (1999): logistic(logit / temperature + shift) with the least cross-entropy."""
    columns = np.stack([logits, np.ones_like(logits)], axis=1)
    weight = np.array([1.0, 0.0])
    for _ in range(50):
        share = 1 / (1 + np.exp(-columns @ weight))
        slope = columns.T @ (share - same)
        curve = (columns * (share * (1 - share))[:, None]).T @ columns + 1e-9 * np.eye(2)
        weight = weight - np.linalg.solve(curve, slope)
    if weight[0] <= 0:
        raise OperatorError("the fitted verifier tells nothing apart; look at the labels of the pairs")
    return Calibration(temperature=float(1 / weight[0]), shift=float(weight[1]))


def figures(logits: NDArray[np.float64], data: Split, calibration: Calibration) -> str:
    """Precision and recall on the held-out pairs, of the verifier alone on those of cosine 0.75 and more."""
    probability = 1 / (1 + np.exp(-(logits / calibration.temperature + calibration.shift)))
    same = np.array([pair.same for pair in data.held_out])
    near = np.array([data.similarities[pair] for pair in data.held_out]) >= 0.75
    lines = [f"{calibration}", "threshold  precision  recall"]
    for threshold in (0.5, 0.6, 0.7, 0.8, 0.9):
        hits = near & (probability >= threshold)
        precision = (hits & same).sum() / max(1, hits.sum())
        lines.append(f"{threshold:<9}  {precision:<9.3f}  {(hits & same).sum() / same.sum():.3f}")
    return "\n".join(lines)


def _save(model: LowRankBert, calibration: Calibration, fitted_on: str, out: Path) -> None:
    tensors = model.tensors()
    tensors[HEAD_WEIGHT] = tensors[HEAD_WEIGHT][0]
    factors = {name: value.astype(np.float16) for name, value in tensors.items() if name.endswith((DOWN, UP))}
    adapter = Adapter(
        base_revision=fetch.BASE_REVISION,
        scale=SCALE,
        temperature=calibration.temperature,
        shift=calibration.shift,
        threshold=THRESHOLD,
        fitted_on=fitted_on,
        factors=factors,
        whole={name: value for name, value in tensors.items() if name not in factors},
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    save_adapter(adapter, out)
    print(f"{out}: build the bundle again with `router-extproc models build`")


if __name__ == "__main__":
    sys.exit(main())

"""Fits the trunk for every judgement at once: `python -m training.trunk --data DIR`.

Low-rank changes of the encoder's weights, so that one pass serves the domain, the guard, personal data and
the complexity, while the sentence vector stays what it was: the loss holds its cosines to those of the base
model. It writes the changes with the tagger, and the linear heads that were fitted with them. What follows
reads the built graph: `training.calibrate`, `training.complexity`.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, dropout, normalize

from router_extproc.encoder import bundle, cpu, fetch, session
from router_extproc.encoder.adapter import DOWN, UP
from router_extproc.encoder.graph import READ, TAGGED, Shape, Weights
from router_extproc.encoder.heads import LinearHead, Reads, load_head, save_head
from router_extproc.encoder.trunk import TRUNK_WEIGHTS, Trunk, load_trunk, save_trunk
from router_extproc.screening.spans import PII_TYPES
from training.bert import SCALE, LowRankBert
from training.trunk_data import DOMAINS, NAMES, everything
from training.trunk_tasks import IGNORED, TAGGED_TASKS, Batch, Encoded, Text, batches, count, encode

SEED = 20_270
RANK = 32
FIRST = 2
"""The layers before it stay the base's: they hold little that a task would change, and a third of the
time."""
EPOCHS = 4
RATE = 7e-4
LATER_RATE = 5e-4
"""Where an earlier fit is gone on from."""

WARM_UP = 0.05
DECAY = 0.01
CLIP = 1.0
DROPPED = 0.1
DIMENSION = 384
SMOOTHING = 0.05
KEPT = 30.0
"""How much a changed sentence vector costs."""

LABELS = {"domain": DOMAINS, "guard": ("benign", "jailbreak")}
"""The heads that are fitted with the trunk and kept."""

DEMAND = "demand"
"""Plain or demanding: a unit that only shapes the states which `training.complexity` reads."""

ENTITIES = "names"
"""Names of people, places and organisations in public posts: a unit that only shapes the states which the
tagger reads. Who is talked about in public is not personal data, so the tagger is not fitted on them."""

FITTED_ON = (
    "MMLU-Pro, MMLU, GSM8K, MBPP, HumanEval, CLINC150, Banking77, jailbreaks in the wild, self-reminder, "
    "WildGuardTest, MITRE FRR, awesome prompts, Arena-Hard, BIG-Bench Hard, ARC-Easy, self-instruct, "
    "Presidio's synthetic sentences, Broad Twitter Corpus, WNUT 2017, AQuA, STS benchmark, and texts of our "
    "own"
)

WEIGHT = {"domain": 1.0, "guard": 1.0, DEMAND: 0.5, "pii": 1.0, ENTITIES: 0.5, "vector": 1.0}


def features(states: Sequence[Tensor], mask: Tensor) -> Tensor:
    """(batch, 5 x dimension): what `graph.features` computes."""
    share = (mask / mask.sum(1, keepdim=True))[:, :, None]
    return torch.cat([*((states[layer] * share).sum(1) for layer in READ), states[-1][:, 0]], dim=1)


def sentence(state: Tensor, mask: Tensor) -> Tensor:
    return normalize((state * mask[:, :, None]).sum(1), dim=1)


def build(base: Weights, shape: Shape, generator: torch.Generator) -> LowRankBert:
    model = LowRankBert(base, shape, RANK, generator, FIRST)
    width = (len(READ) + 1) * shape.dimension
    for name, outputs in (("domain", len(DOMAINS)), ("guard", 2), (DEMAND, 2)):
        model.add_unit(name, outputs, width, generator)
    model.add_unit("pii", 2 * len(PII_TYPES) + 1, len(TAGGED) * shape.dimension, generator)
    model.add_unit(ENTITIES, 2 * len(set(NAMES.values())) + 1, len(TAGGED) * shape.dimension, generator)
    return model


def unfitted(base: Path) -> LowRankBert:
    """The base model of the folder `base` with units that nothing was fitted on. Raises OperatorError."""
    weights = safetensors.numpy.load(fetch.read_verified(base, _file(fetch.WEIGHTS)))
    shape = bundle.shape_of(fetch.read_verified(base, _file(fetch.CONFIG)))
    return build(weights, shape, torch.Generator().manual_seed(SEED))


def loss(model: LowRankBert, batch: Batch, kept: Tensor | None) -> Tensor:
    states = model.states(batch.ids, batch.mask, 0.0 if kept is not None else DROPPED)
    if kept is not None:
        found = sentence(states[-1], batch.mask)
        drift = 1 - (found * kept).sum(1).mean()
        relations = ((found @ found.T - kept @ kept.T) ** 2).mean()
        return KEPT * (drift + relations)
    if batch.task in TAGGED_TASKS:
        seen = torch.cat([states[layer] for layer in TAGGED], dim=2)
        logits = model.unit(batch.task, dropout(seen, DROPPED))
        return cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED)
    logits = model.unit(batch.task, dropout(features(states, batch.mask), DROPPED))
    return cross_entropy(logits, batch.targets, label_smoothing=SMOOTHING)


def kept_vectors(model: LowRankBert, texts: Sequence[Text], encoded: Sequence[Encoded]) -> dict[int, Tensor]:
    """What the base model says of the texts whose vector is to stay: before the first step, the factors are
    zero and the model is the base."""
    places = [place for place, text in enumerate(texts) if text.task == "vector"]
    chosen, ids = [texts[place] for place in places], [encoded[place] for place in places]
    found: dict[int, Tensor] = {}
    with torch.no_grad():
        for batch in batches(chosen, ids, Random(0)):  # noqa: S311
            vectors = sentence(model.states(batch.ids, batch.mask)[-1], batch.mask)
            found.update({places[at]: vector for at, vector in zip(batch.places, vectors, strict=True)})
    return found


def run(
    model: LowRankBert, texts: Sequence[Text], encoded: Sequence[Encoded], epochs: int, rate: float = RATE
) -> None:
    kept = kept_vectors(model, texts, encoded)
    random = Random(SEED)  # noqa: S311 - a seeded order
    steps = epochs * count(texts, encoded)
    matrices = [tensor for tensor in model.fitted.values() if tensor.dim() > 1]
    rest = [tensor for tensor in model.fitted.values() if tensor.dim() <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": DECAY}, {"params": rest, "weight_decay": 0.0}], lr=rate
    )
    step, began, means = 0, time.monotonic(), dict.fromkeys(WEIGHT, 0.0)
    for _ in range(epochs):
        for batch in batches(texts, encoded, random):
            for group in optimiser.param_groups:
                group["lr"] = rate * min(1.0, (step + 1) / (WARM_UP * steps)) * max(0.0, 1 - step / steps)
            goal = torch.stack([kept[place] for place in batch.places]) if batch.task == "vector" else None
            value = loss(model, batch, goal)
            (WEIGHT[batch.task] * value).backward()
            torch.nn.utils.clip_grad_norm_([*matrices, *rest], CLIP)
            optimiser.step()
            optimiser.zero_grad()
            means[batch.task] += 0.05 * (value.item() - means[batch.task])
            step += 1
            if step % 50 == 0:
                left = (time.monotonic() - began) / step * (steps - step) / 60
                shown = "  ".join(f"{name} {mean:.3f}" for name, mean in means.items())
                print(f"step {step} of {steps}, {left:.0f} minutes left: {shown}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    torch.set_num_threads(cpu.available_threads())
    torch.manual_seed(SEED)
    model = unfitted(options.base)
    tokeniser = session.load_tokeniser(bundle.load_bundle(options.bundle))
    texts = everything(options.data, SEED)
    for task in WEIGHT:
        print(f"{task}: {sum(text.task == task for text in texts)} texts", flush=True)
    encoded = [encode(tokeniser, text) for text in texts]
    if options.start:
        go_on_from(model, options.start)
    run(model, texts, encoded, options.epochs, RATE if options.start is None else LATER_RATE)
    save(model, options.out)
    return 0


def go_on_from(model: LowRankBert, folder: Path) -> None:
    """Start at the weights that an earlier fit wrote into `folder`; units that it did not keep start anew.
    Raises ModelError."""
    trunk = load_trunk(folder / TRUNK_WEIGHTS.name, fetch.BASE_REVISION)
    tensors: dict[str, NDArray[np.floating]] = {**trunk.factors, **trunk.whole}
    for name in LABELS:
        head = load_head(folder / f"{name}.safetensors", fetch.BASE_REVISION, DIMENSION)
        # Of a calibrated head's columns the last are the words', which are fitted by themselves.
        weight = head.weight[:, : Reads.FEATURES.width(DIMENSION)]
        tensors |= {f"{name}.weight": weight, f"{name}.bias": head.bias}
    model.start_from(tensors)


def _file(name: str) -> fetch.PinnedFile:
    return next(file for file in fetch.BASE_FILES if file.name == name)


def save(model: LowRankBert, folder: Path) -> None:
    """The trunk, and the heads whose units were fitted with it. Temperatures are `training.calibrate`'s."""
    tensors = model.tensors()
    linear = (*LABELS, DEMAND, ENTITIES)
    units = {name: tensors.pop(name) for name in list(tensors) if name.partition(".")[0] in linear}
    factors = {name: value.astype(np.float16) for name, value in tensors.items() if name.endswith((DOWN, UP))}
    trunk = Trunk(
        base_revision=fetch.BASE_REVISION,
        scale=SCALE,
        types=tuple(sorted(PII_TYPES)),
        temperature=1.0,
        fitted_on=FITTED_ON,
        factors=factors,
        whole={name: value for name, value in tensors.items() if name not in factors},
    )
    save_trunk(trunk, folder / TRUNK_WEIGHTS.name)
    for name, labels in LABELS.items():
        weight, bias = units[f"{name}.weight"], units[f"{name}.bias"]
        head = LinearHead(labels, weight, bias, 1.0, fetch.BASE_REVISION, DIMENSION, Reads.FEATURES)
        save_head(head, folder / f"{name}.safetensors")
    print(f"{folder}: run `router-extproc models build`, then `python -m training.calibrate`")


def _parser() -> argparse.ArgumentParser:
    folder = bundle.default_folder(os.environ)
    parser = argparse.ArgumentParser(prog="python -m training.trunk", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and eval/")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--start", type=Path, help="go on from the weights in this folder")
    parser.add_argument("--base", type=Path, default=folder.parent / "minilm-l6-v2-base")
    parser.add_argument("--bundle", type=Path, default=folder)
    parser.add_argument("--out", type=Path, default=TRUNK_WEIGHTS.parent, help="folder of the weights")
    return parser


if __name__ == "__main__":
    sys.exit(main())

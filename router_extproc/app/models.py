"""`models`: the encoder's files on this machine, and what is known of the heads that ship."""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from router_extproc.app.model_card import card_of
from router_extproc.base.errors import ModelError
from router_extproc.encoder.bundle import Bundle, build_bundle, default_folder, load_bundle
from router_extproc.encoder.cards import Head, read_heads
from router_extproc.encoder.complexity import COMPLEXITY_WEIGHTS, load_complexity
from router_extproc.encoder.fetch import Source
from router_extproc.encoder.heads import DOMAIN_WEIGHTS, GUARD_WEIGHTS, load_head
from router_extproc.encoder.pull import ORDER, bring, is_whole, pull
from router_extproc.encoder.session import Options, open_encoder
from router_extproc.encoder.verifier import open_verifier
from router_extproc.settings.schema import Settings

BASE_FOLDER = "minilm-l6-v2-base"
"""Beside the bundle in the model cache: the base model's files as `models pull` keeps them."""


def say(line: str) -> None:
    """Progress for a person; at once, also when the output is a file."""
    sys.stdout.write(f"  {line}\n")
    sys.stdout.flush()


def find_bundle(settings: Settings) -> Bundle:
    """The bundle the configuration names, else the one in the model cache. Raises ModelError."""
    named = settings.encoder.bundle
    return load_bundle(Path(named) if named else default_folder(os.environ))


def ensure_bundle(settings: Settings) -> Bundle:
    """Like `find_bundle`, but builds the default bundle when there is none, or none of this version's."""
    try:
        return find_bundle(settings)
    except ModelError:
        if settings.encoder.bundle is not None:
            raise
    build_model(None, None, None)
    return find_bundle(settings)


def pull_model(source: str | None, folder: Path | None, output: Path | None) -> int:
    """Keep the base model's verified files in `output`, by default in the model cache: from `folder`, else
    from `source`, else from the first source that has them. Raises ModelError."""
    pull(output or _base_folder(), folder, _sources(source), say)
    return 0


def build_model(source: str | None, folder: Path | None, output: Path | None) -> int:
    """Verify, build and place. Nothing is done when the bundle is there and no `folder` is given; nothing is
    fetched when `folder` is given, or the files were pulled before. Raises ModelError."""
    target = output or default_folder(os.environ)
    if folder is None and (bundle := _bundle_in(target)) is not None:
        say(f"encoder {bundle.encoder} is in {target}")
        return 0
    if folder is None and is_whole(_base_folder()):
        folder = _base_folder()
        say(f"using the base model in {folder}")
    if folder is not None:
        build_bundle(folder, target, say)
        return 0
    with tempfile.TemporaryDirectory(prefix="router-extproc-") as scratch:
        bring(Path(scratch), _sources(source), say)
        build_bundle(Path(scratch), target, say)
    return 0


def list_models(*, as_json: bool = False) -> int:
    """The bundles in the model cache, one line each, where one that cannot be used has its error; then the
    heads that ship. Raises ModelError for a head that cannot be read."""
    home = default_folder(os.environ).parent
    found = sorted(home.glob("*/manifest.json")) if home.is_dir() else []
    heads = read_heads()
    bundles = [_described(manifest.parent) for manifest in found]
    if as_json:
        document = {"bundles": bundles, "heads": [head.as_json() for head in heads]}
        sys.stdout.write(json.dumps(document) + "\n")
        return 0
    lines = [str(each.get("error")) if "error" in each else _bundle_line(each) for each in bundles]
    lines = lines or [f"no bundle in {home}; build one with `router-extproc models build`"]
    lines += ["", f"{'head':<14}{'size':>9}  {'threshold':<11}{'calibration':<24}{'labels':<8}figures"]
    lines += [_head_line(head) for head in heads]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def verify_model(folder: Path | None) -> int:
    """Checksums, then the self-test, then that the shipped heads fit. Raises ModelError."""
    bundle = load_bundle(folder or default_folder(os.environ))
    open_encoder(bundle, Options())
    open_verifier(bundle)
    for weights in (DOMAIN_WEIGHTS, GUARD_WEIGHTS):
        load_head(weights, bundle.base_revision, bundle.dimension)
    load_complexity(COMPLEXITY_WEIGHTS, bundle.base_revision, bundle.dimension)
    for head in read_heads():
        if head.base_revision not in ("", bundle.base_revision):
            raise ModelError(
                f"{head.file}: fitted on encoder revision {head.base_revision}, but the bundle has "
                f"{bundle.base_revision}; install the package again"
            )
    sys.stdout.write(
        f"{bundle.encoder} in {bundle.folder}: checksums, vectors, verifier and heads are right\n"
    )
    return 0


def show_card(name: str | None) -> int:
    """The model card as Markdown: of everything that ships, or of the head `name`. Raises ModelError."""
    heads = read_heads()
    chosen = [head for head in heads if name in (None, head.name)]
    if not chosen:
        raise ModelError(f"there is no head {name!r}; there are {', '.join(head.name for head in heads)}")
    sys.stdout.write(card_of(chosen, whole=name is None))
    return 0


def _base_folder() -> Path:
    return default_folder(os.environ).parent / BASE_FOLDER


def _sources(source: str | None) -> Sequence[Source]:
    return ORDER if source is None else (Source(source),)


def _bundle_in(folder: Path) -> Bundle | None:
    try:
        return load_bundle(folder)
    except ModelError:
        return None


def _described(folder: Path) -> dict[str, Any]:
    """A bundle as JSON has it: its identity, or why it cannot be used."""
    try:
        bundle = load_bundle(folder)
    except ModelError as error:
        return {"folder": str(folder), "error": str(error)}
    return {
        "folder": str(folder),
        "encoder": bundle.encoder,
        "verifier": bundle.verifier,
        "base_revision": bundle.base_revision,
        "dimension": bundle.dimension,
        "max_positions": bundle.max_positions,
        "bytes": {file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.is_file()},
    }


def _bundle_line(bundle: dict[str, Any]) -> str:
    size = sum(bundle["bytes"].values()) / 1e6
    return f"{bundle['encoder']}  {bundle['dimension']} dimensions  {size:.1f} MB  {bundle['folder']}"


def _head_line(head: Head) -> str:
    card = head.card
    threshold = "-" if card.threshold is None else f"{card.threshold:g}"
    figures = "; ".join(
        f"{measured}: " + ", ".join(f"{figure} {value:g}" for figure, value in values.items())
        for measured, values in card.figures.items()
    )
    return (
        f"{head.name:<14}{head.size / 1e3:>6.0f} kB  {threshold:<11}{card.calibration or '-':<24}"
        f"{len(card.labels) or '-':<8}{figures or card.report or 'training/REPORT.md'}"
    )

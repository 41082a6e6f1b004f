"""`models`: the encoder's files on this machine."""

import os
import sys
import tempfile
from pathlib import Path

from router_extproc.base.errors import ModelError
from router_extproc.encoder.bundle import Bundle, build_bundle, default_folder, load_bundle
from router_extproc.encoder.fetch import Source, fetch
from router_extproc.encoder.session import Options, open_encoder
from router_extproc.encoder.verifier import open_verifier
from router_extproc.settings.schema import Settings


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
    build_model("index", None, None)
    return find_bundle(settings)


def build_model(source: str, folder: Path | None, output: Path | None) -> int:
    """Fetch unless `folder` is given, verify, build and place. Nothing is done when the bundle is there."""
    target = output or default_folder(os.environ)
    try:
        bundle = load_bundle(target)
    except ModelError:
        pass_over = False
    else:
        pass_over = folder is None
        if pass_over:
            say(f"encoder {bundle.encoder} is in {target}")
    if pass_over:
        return 0
    if folder is not None:
        build_bundle(folder, target, say)
        return 0
    with tempfile.TemporaryDirectory(prefix="router-extproc-") as scratch:
        fetch(Path(scratch), Source(source), say)
        build_bundle(Path(scratch), target, say)
    return 0


def list_models() -> int:
    """One line per bundle in the model cache; a bundle that cannot be used has its error there."""
    home = default_folder(os.environ).parent
    found = sorted(home.glob("*/manifest.json")) if home.is_dir() else []
    for manifest in found:
        try:
            bundle = load_bundle(manifest.parent)
        except ModelError as error:
            sys.stdout.write(f"{error}\n")
        else:
            sys.stdout.write(f"{bundle.encoder}  {bundle.dimension} dimensions  {bundle.folder}\n")
    if not found:
        sys.stdout.write(f"no bundle in {home}; build one with `router-extproc models build`\n")
    return 0


def verify_model(folder: Path | None) -> int:
    """Checksums, then the self-test. Raises ModelError."""
    bundle = load_bundle(folder or default_folder(os.environ))
    open_encoder(bundle, Options())
    open_verifier(bundle)
    sys.stdout.write(f"{bundle.encoder} in {bundle.folder}: checksums, vectors and verifier are right\n")
    return 0

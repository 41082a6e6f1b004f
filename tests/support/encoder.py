"""The real encoder for tests: downloaded and built once into the model cache, then shared.

Plain functions; each keeps its first result for the whole run. Nothing here skips: a test that needs the
model and cannot have it fails with the reason.
"""

import functools
import os
import tempfile
from pathlib import Path

from router_extproc.base.errors import ModelError
from router_extproc.encoder import fetch
from router_extproc.encoder.bundle import Bundle, build_bundle, default_folder, load_bundle
from router_extproc.encoder.guards import TrunkAttacks, TrunkTagger
from router_extproc.encoder.heads import DOMAIN_WEIGHTS, GUARD_WEIGHTS, LinearHead, load_head
from router_extproc.encoder.screener import Screener
from router_extproc.encoder.session import Options, SentenceEncoder, open_encoder
from router_extproc.encoder.verifier import CrossEncoder, open_verifier


@functools.cache
def base_folder() -> Path:
    """The verified files of the base model: `$ROUTER_EXTPROC_BASE_MODEL`, else beside the bundle in the
    cache, downloaded if they are not there."""
    if given := os.environ.get("ROUTER_EXTPROC_BASE_MODEL"):
        return Path(given)
    folder = default_folder(os.environ).parent / "minilm-l6-v2-base"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".base-", dir=folder.parent) as scratch:
            work = Path(scratch) / "base"
            work.mkdir()
            fetch.fetch(work, fetch.Source.INDEX, print)
            work.rename(folder)
    return folder


@functools.cache
def real_bundle() -> Bundle:
    """The bundle in the default cache folder; built there when it is absent or not this version's."""
    folder = default_folder(os.environ)
    try:
        return load_bundle(folder)
    except ModelError:
        return build_bundle(base_folder(), folder, print)


@functools.cache
def real_encoder() -> SentenceEncoder:
    """One thread, the default window; self-tested."""
    return open_encoder(real_bundle(), Options())


@functools.cache
def real_verifier() -> CrossEncoder:
    """One thread; self-tested."""
    return open_verifier(real_bundle())


@functools.cache
def domain_head() -> LinearHead:
    """The shipped domain head."""
    bundle = real_bundle()
    return load_head(DOMAIN_WEIGHTS, bundle.base_revision, bundle.dimension)


@functools.cache
def guard_head() -> LinearHead:
    """The shipped guard."""
    bundle = real_bundle()
    return load_head(GUARD_WEIGHTS, bundle.base_revision, bundle.dimension)


@functools.cache
def real_screener() -> Screener:
    """The shipped guards with the default budget."""
    return Screener(real_encoder(), TrunkAttacks(guard_head()), TrunkTagger(real_bundle().types))

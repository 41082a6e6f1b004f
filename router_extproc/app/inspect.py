"""`check-config` and `render-envoy`: what would happen, without doing it."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from router_extproc.app.certificates import check_certificates
from router_extproc.app.configuration import load, milvus_options, tenant_key, topology_of
from router_extproc.base.errors import OperatorError
from router_extproc.settings.dialects import Form
from router_extproc.settings.load import read_settings
from router_extproc.settings.problem import grouped


def check_config(path: Path) -> int:
    """What the file is, what of it has an effect, what has none and why. Raises ConfigError with every
    problem found."""
    configuration = load(path)
    milvus_options(configuration, encoder="unknown-yet", dimension=None)
    tenant_key(configuration)
    certificates = check_certificates(configuration)
    settings = configuration.settings
    cache = settings.semantic_cache
    backend = {
        "memory": "cache in memory",
        "milvus": "cache in Milvus",
        "hybrid": "cache in memory and Milvus",
    }[cache.backend_type]
    sys.stdout.write(
        f"{path}: valid; {len(settings.models)} models, {len(settings.categories)} categories, "
        f"{len(settings.decisions)} decisions, default {settings.default_model}, "
        f"{backend if cache.enabled else 'no cache'}\n"
    )
    report = read_settings(path)
    if report.form is not Form.CANONICAL:
        sys.stdout.write(f"read as {report.form}; `router-extproc config migrate {path}` writes it in ours\n")
    _write("honoured", report.honoured)
    _write("no effect", grouped(notice for notice in report.warnings if notice.inert))
    own = [line.removeprefix(f"{path}: ") for line in certificates]
    _write("worth knowing", [*grouped(notice for notice in report.warnings if not notice.inert), *own])
    return 0


def _write(title: str, lines: Sequence[str]) -> None:
    if lines:
        sys.stdout.write(f"{title} ({len(lines)}):\n" + "".join(f"  {line}\n" for line in lines))


def render_envoy_file(config: Path, output: Path | None, workers: int | None = None) -> int:
    """The whole of Envoy's configuration in one file, or on the terminal."""
    # Imported here: Envoy's typed messages take a second to load, and the other commands do without.
    from router_extproc.envoyconf.render import render_envoy

    text = render_envoy(topology_of(load(config, workers=workers)))
    if output is None:
        sys.stdout.write(text)
        return 0
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{output}: cannot be written: {error.strerror}") from error
    return 0


def render_envoy_folder(config: Path, folder: Path, workers: int | None = None) -> int:
    """The same as files that a running Envoy watches. Returns when Envoy, if one runs on them, has taken the
    change over and let go of what is no longer in it."""
    from router_extproc.app.envoy_folder import write_envoy

    asyncio.run(write_envoy(topology_of(load(config, workers=workers)), folder))
    return 0

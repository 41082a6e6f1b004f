"""`python -m router_extproc.page`, started by the router. Owns its own limits, its log and its end: it takes
the processor's time when nobody else wants it, a bounded amount of memory, and ends when the router does.
"""

import argparse
import logging
import os
import resource
import shutil
import sys
from collections.abc import Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

from router_extproc.page.log import Discreet
from router_extproc.page.options import Options

NICENESS: Final = 5
MEMORY_BYTES: Final = 2 * 1024**3
"""Of data. It uses a tenth of that; what takes more is a leak, and ends this process, not the router."""

LOG_BYTES: Final = 1024 * 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns when the router has ended, or at SIGTERM."""
    options = parsed(arguments)
    if os.getppid() != options.parent:
        return _alone(options)
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    handler = RotatingFileHandler(options.folder / "page.log", maxBytes=LOG_BYTES, backupCount=1)
    handler.setFormatter(Discreet())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # Before the library is imported: it decides then where it would keep things.
    os.environ["NICEGUI_STORAGE_PATH"] = str(options.folder / "storage")
    from router_extproc.page.serve import serve

    return _alone(options) if serve(options) else 0


def _alone(options: Options) -> int:
    """The router has ended: nobody else is left to clear away what was written for this process."""
    shutil.rmtree(options.folder, ignore_errors=True)
    return 0


def parsed(arguments: Sequence[str] | None) -> Options:
    """Without `--parent` it is who is the parent now: to be called before what takes long to import."""
    parser = argparse.ArgumentParser(prog="python -m router_extproc.page")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--api", type=Path, required=True)
    parser.add_argument("--envoy", required=True)
    parser.add_argument("--guarded", action="store_true")
    parser.add_argument("--secure", action="store_true")
    parser.add_argument("--parent", type=int, default=os.getppid())
    return Options(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())

"""`serve`: the router alone, until a signal ends it."""

import asyncio
import gc
import signal
from pathlib import Path

from router_extproc.app.configuration import listening, load
from router_extproc.app.mind import Mind
from router_extproc.app.models import find_bundle
from router_extproc.app.router import running
from router_extproc.supervisor.ports import require_free
from router_extproc.telemetry.log import configure_logging


def serve(config: Path) -> int:
    """Returns 0 after SIGINT, SIGTERM or SIGHUP. Raises OperatorError."""
    configuration = load(config)
    settings = configuration.settings
    configure_logging(settings.observability.log_level, form=settings.observability.log_format)
    require_free(listening(configuration))
    mind = Mind.load(find_bundle(settings), configuration)

    async def run() -> None:
        stop = stop_signal()
        async with running(configuration, mind):
            spare_collections()
            await stop.wait()

    asyncio.run(run())
    return 0


def spare_collections() -> None:
    """Take what start-up made out of the garbage collector's sight. A full collection would walk the
    libraries' 180,000 objects: 109 ms, measured, in which no stream of this process moves."""
    gc.collect()
    gc.freeze()


def stop_signal() -> asyncio.Event:
    """Set by the first SIGINT, SIGTERM or SIGHUP (the terminal was closed); later ones change nothing,
    because stopping has deadlines. Under nohup SIGHUP stays ignored."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stop.set)
    return stop

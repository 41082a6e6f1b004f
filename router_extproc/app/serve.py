"""`serve`: the router alone, until a signal ends it; in one process, or in several workers under a parent."""

import asyncio
import gc
from pathlib import Path

from router_extproc.app.configuration import Configuration, listening, load
from router_extproc.app.mind import Mind
from router_extproc.app.models import find_bundle
from router_extproc.app.router import Worker, running
from router_extproc.app.stopping import Stop, drained
from router_extproc.supervisor.ports import require_free
from router_extproc.telemetry.log import configure_logging


def serve(config: Path, workers: int | None = None) -> int:
    """Returns 0 after SIGINT, SIGTERM or SIGHUP. `workers` count over those of the configuration. Raises
    OperatorError."""
    configuration = load(config, workers=workers)
    settings = configuration.settings
    configure_logging(settings.observability.log_level, form=settings.observability.log_format)
    require_free(listening(configuration))
    if settings.workers > 1:
        # Imported here: a parent has no models, and one process needs no parent.
        from router_extproc.app.workers import serve_workers

        asyncio.run(serve_workers(configuration))
        return 0
    mind = Mind.load(find_bundle(settings), configuration)

    async def run() -> None:
        await serve_until(Stop.at_signals(), configuration, mind)

    asyncio.run(run())
    return 0


async def serve_until(
    stop: Stop, configuration: Configuration, mind: Mind, worker: Worker | None = None
) -> None:
    """Serve until `stop` is asked for; then drain and end. Raises OperatorError."""
    async with running(configuration, mind, worker=worker) as listener:
        spare_collections()
        await stop.asked.wait()
        await drained(listener, stop, configuration.settings.shutdown)


def spare_collections() -> None:
    """Take what start-up made out of the garbage collector's sight. A full collection would walk the
    libraries' 180,000 objects: 109 ms, measured, in which no stream of this process moves."""
    gc.collect()
    gc.freeze()

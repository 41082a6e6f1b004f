"""`simulate`: the simulated pool alone, until a signal ends it."""

import asyncio
import sys
from pathlib import Path

from router_extproc.app.configuration import load, simulated_models
from router_extproc.app.stopping import Stop
from router_extproc.simulator.pool import Pool


def simulate(config: Path) -> int:
    """Returns 0 after SIGINT or SIGTERM. Raises OperatorError."""
    models = simulated_models(load(config))

    async def run() -> None:
        stop = Stop.at_signals().asked
        async with Pool(models):
            for model in models:
                sys.stdout.write(f"simulating {model.name} on {model.host}:{model.port}\n")
            sys.stdout.flush()
            await stop.wait()

    asyncio.run(run())
    return 0

"""Several simulated servers that start and stop together."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from router_extproc.simulator.options import SimulatedModel
from router_extproc.simulator.server import SimulatedServer


class Pool:
    """`async with Pool(models) as pool: ...`; `pool.servers` are in the order of `models`."""

    def __init__(self, models: Sequence[SimulatedModel]) -> None:
        self.servers = tuple(SimulatedServer(model) for model in models)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """All listen when it returns. Raises PortTakenError, and then none does."""
        try:
            for server in self.servers:
                await server.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stops all at the same time, also those that have not started."""
        await asyncio.gather(*(server.stop() for server in self.servers))

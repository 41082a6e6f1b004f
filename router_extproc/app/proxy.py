"""The Envoy that runs on a folder of files, following the router's configuration."""

import asyncio
import logging
from pathlib import Path

from router_extproc.app.configuration import Configuration, require_secrets, topology_of
from router_extproc.base.errors import OperatorError

log = logging.getLogger(__name__)


class EnvoyFolder:
    """Implements `reload.Proxy`. What is no longer wanted is retired in the background, one change at a
    time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._retiring: asyncio.Task[None] | None = None

    async def introduce(self, configuration: Configuration) -> None:
        # Imported late: Envoy's typed messages take a second to load.
        from router_extproc.app.envoy_folder import introduce

        require_secrets(configuration)
        await self._retired()
        await introduce(topology_of(configuration), self._folder)

    def retire(self, configuration: Configuration) -> None:
        self._retiring = asyncio.create_task(self._retire(configuration), name="envoy-retire")

    async def close(self) -> None:
        """Leave off; what was to be retired stays until the next start."""
        if self._retiring is not None:
            self._retiring.cancel()
            await asyncio.wait({self._retiring})

    async def _retire(self, configuration: Configuration) -> None:
        from router_extproc.app.envoy_folder import retire

        try:
            await retire(topology_of(configuration), self._folder)
        except OperatorError as error:
            log.error("Envoy keeps models that the configuration does not have any more: %s", error)

    async def _retired(self) -> None:
        """An earlier change must be through: it would take away what this one brings."""
        if self._retiring is not None:
            await asyncio.wait({self._retiring})

"""Identical requests under way in this process: one goes upstream, the others wait for its answer.

Bounded by the streams that are open: each of them leads one flight at most, or waits for one.
"""

import asyncio

from router_extproc.caching.entry import Candidate


class Flight:
    """Held by the request that others wait for. `land` it exactly when its answer is known or will not come;
    landing again changes nothing."""

    def __init__(self, open_flights: "dict[str, Flight]", entry_id: str) -> None:
        self._open = open_flights
        self._entry_id = entry_id
        self._landing: asyncio.Future[Candidate | None] = asyncio.get_running_loop().create_future()

    def land(self, candidate: Candidate | None) -> None:
        """Wake all who wait; None tells them to go on by themselves."""
        if not self._landing.done():
            del self._open[self._entry_id]
            self._landing.set_result(candidate)

    async def landing(self) -> Candidate | None:
        """What the flight brings. Being cancelled while waiting cancels nobody else."""
        return await asyncio.shield(self._landing)


class Flights:
    """All flights of one event loop, by entry id."""

    def __init__(self) -> None:
        self._open: dict[str, Flight] = {}

    def __len__(self) -> int:
        return len(self._open)

    def under_way(self, entry_id: str) -> Flight | None:
        return self._open.get(entry_id)

    def lead(self, entry_id: str) -> Flight:
        """Begin a flight. ValueError when one with this id is under way."""
        if entry_id in self._open:
            raise ValueError("a flight with this id is under way")
        flight = self._open[entry_id] = Flight(self._open, entry_id)
        return flight

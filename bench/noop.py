"""An ext_proc server that says "go on" to every message: `python -m bench.noop PORT`.

It is the router's own server around an exchange that decides nothing, so the difference to it is what
the router's decisions cost, and the difference between it and Envoy alone is what ext_proc costs.
"""

import asyncio
import sys
from collections.abc import Sequence

from router_extproc.caching.marks import Marks
from router_extproc.exchange.effects import Close, Effect, Phase, Reply
from router_extproc.exchange.events import Event, RequestBody, RequestHeaders, ResponseHeaders
from router_extproc.server.driver import Ports
from router_extproc.server.flights import Flights
from router_extproc.server.listener import Listener
from router_extproc.server.servicer import Servicer
from router_extproc.stores.memory import MemoryStore
from router_extproc.telemetry.metrics import Metrics

REPLIES: dict[type, Sequence[Effect]] = {
    RequestHeaders: (Reply(Phase.REQUEST_HEADERS),),
    RequestBody: (Reply(Phase.REQUEST_BODY),),
    ResponseHeaders: (Reply(Phase.RESPONSE_HEADERS), Close()),
}


class NoOp:
    def receive(self, event: Event, at: float) -> Sequence[Effect]:
        return REPLIES.get(type(event), ())


class NoClock:
    def now(self) -> float:
        return 0.0


class NoAnalyst:
    encoder = "none"

    async def analyse(self, text: str, needs: object = None) -> object:
        raise RuntimeError("a no-op exchange asks for no analysis")


async def main(port: int) -> None:
    ports = Ports(
        analyst=NoAnalyst(),  # type: ignore[arg-type]
        store=MemoryStore(1, 1, 65_536, "fifo"),
        fill=lambda entry: True,
        verify=lambda verify: True,
        screen=lambda asked, land: True,
        marks=Marks,
        flights=Flights(),
        telemetry=Metrics(),
        clock=NoClock(),
    )
    listener = Listener(f"127.0.0.1:{port}", Servicer(NoOp, ports, 10_000), 16 * 1024 * 1024)
    await listener.start()
    await listener.serving(True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

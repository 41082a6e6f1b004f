"""Ports for a driver under a scripted exchange: fakes that answer everything and keep nothing."""

from router_extproc.caching.marks import Marks
from router_extproc.server.driver import Ports
from router_extproc.server.flights import Flights
from tests.support.ports import FakeAnalyst, FakeClock, FakeStore, RecordingTelemetry


def fake_ports(telemetry: RecordingTelemetry) -> Ports:
    return Ports(
        analyst=FakeAnalyst(),
        store=FakeStore(),
        fill=lambda _: True,
        verify=lambda _: True,
        screen=lambda asked, land: True,
        marks=Marks,
        flights=Flights(),
        telemetry=telemetry,
        clock=FakeClock(),
    )

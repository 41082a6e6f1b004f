"""Who is told how an exchange went: the record of decisions, the log of traces, the collector."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from router_extproc import __version__
from router_extproc.ports import Unwatched, Witness
from router_extproc.settings.observability_schema import TraceSettings
from router_extproc.settings.schema import Settings
from router_extproc.telemetry.log import set_level
from router_extproc.telemetry.otlp import Collector, Count, Traces
from router_extproc.telemetry.recent import Recent
from router_extproc.telemetry.record import Decisions, tell_kept_trace, tell_trace
from router_extproc.telemetry.story import StoryWitness, Teller


class Telling:
    """One for the life of a router. `traces` is None where no collector is told; `always` are told whatever
    the configuration says. `recent` are the latest decisions."""

    def __init__(
        self, settings: Settings, traces: Traces | None = None, always: tuple[Teller, ...] = ()
    ) -> None:
        self._traces = traces
        self._always = always
        self.recent = Recent(settings.observability.decisions_kept)
        self._tellers = self._from(settings)

    def configure(self, settings: Settings) -> None:
        """Go on under another configuration: the level of the log too. Exchanges under way are told as when
        they began."""
        set_level(settings.observability.log_level)
        self.recent.resize(settings.observability.decisions_kept)
        self._tellers = self._from(settings)

    def witness(self) -> Witness:
        """For one exchange."""
        return StoryWitness(self._tellers) if self._tellers else Unwatched()

    def _from(self, settings: Settings) -> tuple[Teller, ...]:
        given = settings.observability
        tellers = list(self._always)
        if given.decision_log or given.decisions_kept:
            tellers.append(Decisions(self.recent, logs=given.decision_log).tell)
        if given.tracing.enabled and given.tracing.exporter.type == "stdout":
            tellers.append(tell_kept_trace)
        elif given.log_level == "debug" or given.debug_token_file is not None:
            tellers.append(tell_trace)
        if self._traces is not None:
            tellers.append(self._traces.tell)
        return tuple(tellers)


@asynccontextmanager
async def collecting(tracing: TraceSettings, count: Count) -> AsyncIterator[Traces | None]:
    """What sends traces to the collector, until the context is left; None where none is to be told. A
    collector that is away costs traces, nothing else; `count` is told of them."""
    if not tracing.enabled or tracing.exporter.type != "otlp":
        yield None
        return
    traces = Traces(collector_of(tracing), __version__, count)
    try:
        yield traces
    finally:
        await traces.close()


def collector_of(tracing: TraceSettings) -> Collector:
    """With the attributes of the service as OpenTelemetry calls them."""
    service = tracing.resource
    resource = {
        "service.name": service.service_name,
        "service.version": service.service_version or __version__,
    }
    if service.deployment_environment is not None:
        resource["deployment.environment.name"] = service.deployment_environment
    return Collector(tracing.exporter.endpoint, tracing.exporter.insecure, resource)

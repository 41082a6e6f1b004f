"""What a changed configuration does to the running router: other heads, other bounds, another plan.

Knows the parts that a change reaches. When the files are read, and what a reload is, is not its business.
"""

import asyncio

from router_extproc.app.configuration import Configuration
from router_extproc.app.mind import Mind
from router_extproc.app.reload import Generation, Generations, Outcome, Proxy
from router_extproc.app.telling import Telling
from router_extproc.app.token import debug_token
from router_extproc.base.errors import ConfigError
from router_extproc.encoder.batcher import BatchingAnalyst
from router_extproc.encoder.loading import Heads
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.exchange.tracing import debug_digest
from router_extproc.server.pool import Pool
from router_extproc.settings.compile import feedback_of
from router_extproc.settings.schema import Settings
from router_extproc.telemetry.metrics import Metrics
from router_extproc.telemetry.spending import Price


class Changes:
    """One for the life of a router."""

    def __init__(
        self,
        mind: Mind,
        analyst: BatchingAnalyst,
        pool: Pool,
        metrics: Metrics,
        telling: Telling,
        tenant_key: bytes,
        longest_ttl: float,
    ) -> None:
        """`longest_ttl`: seconds for which what was taken back from the cache stays so."""
        self._mind = mind
        self._analyst = analyst
        self._pool = pool
        self._metrics = metrics
        self._telling = telling
        self._tenant_key = tenant_key
        self._longest_ttl = longest_ttl
        self._coming: Heads | None = None
        self._number = 0
        """That of the generation in force."""

    def since(self, first: Generation, proxy: Proxy | None) -> Generations:
        """`first` in force, and whatever follows it taken over."""
        self._configure(first.configuration)
        self._in_force(first)
        generations = Generations(
            first, self._compiled, self._reloaded, proxy, lambda: _other_word(generations.current)
        )
        return generations

    def _in_force(self, generation: Generation) -> None:
        self._number = generation.number
        prices = prices_of(generation.configuration.settings)
        self._metrics.configure(generation.number, generation.plan.generation, prices)

    def _configure(self, configuration: Configuration) -> None:
        settings = configuration.settings
        session = settings.session
        self._pool.configure(feedback_of(settings), session.max_sessions, float(session.ttl_seconds))

    async def _compiled(self, changed: Configuration) -> Snapshot:
        """Changes nothing yet. Raises OperatorError."""
        other = await asyncio.to_thread(self._mind.prepared, changed)
        self._coming = other.heads
        word = await asyncio.to_thread(debug_token, changed.path, changed.settings)
        fresh = await asyncio.to_thread(other.plan, changed, self._tenant_key, word)
        if fresh.cache.longest_ttl > self._longest_ttl:
            raise ConfigError(
                f"{changed.path}: ttl_seconds: answers may not live longer than the router was started "
                "for (what was taken back must stay so for as long); restart the router to change it"
            )
        return fresh

    def _reloaded(self, outcome: Outcome, now: Generation) -> None:
        self._metrics.reloaded(outcome.value)
        self._in_force(now)
        heads, self._coming = self._coming, None
        if outcome is not Outcome.TAKEN or heads is None:
            return
        self._configure(now.configuration)
        self._telling.configure(now.configuration.settings)
        self._analyst.add_heads(heads.on_vector, heads.on_text)
        # Requests under way still need the heads that they began with, while an analysis may take.
        loop = asyncio.get_running_loop()
        loop.call_later(2 * now.plan.analysis_timeout, self._leave_old_heads, now.number, heads)

    def _leave_old_heads(self, number: int, heads: Heads) -> None:
        if self._number == number:
            self._analyst.replace_heads(heads.on_vector, heads.on_text)


def _other_word(now: Generation) -> bool:
    """Whether the file of the debug token holds another word than `now` was made with: one that leaked must
    not serve until something else changes, or the router restarts."""
    word = debug_token(now.configuration.path, now.configuration.settings)
    return now.plan.tracing.debug != (None if word is None else debug_digest(word))


def prices_of(settings: Settings) -> dict[str, Price | None]:
    """Of every model of the pool, None where the configuration has no price."""
    prices: dict[str, Price | None] = {}
    for name, model in settings.models.items():
        given = model.pricing
        prices[name] = (
            None if given is None else Price(given.currency, given.prompt_per_1m, given.completion_per_1m)
        )
    return prices

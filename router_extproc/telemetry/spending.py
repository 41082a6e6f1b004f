"""What models cost, and what the cache spares of it: tokens, money and time.

Tokens are those that the upstream counted. Money is tokens at the configured prices. The time a hit spares is
an estimate: nobody knows how long the model would have taken, so it is what its answers take on average.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from router_extproc.base.completion import Usage
from router_extproc.exchange.effects import CacheHit, HitKind
from router_extproc.exchange.notes import AnswerEnded
from router_extproc.telemetry.collectors import Collectors
from router_extproc.telemetry.labels import UNKNOWN, Part

MEMORY = 100
"""Answers after which the average forgets as fast as it learns."""


@dataclass(frozen=True, slots=True)
class Price:
    """Of a million tokens each."""

    currency: str
    prompt: float
    completion: float

    def of(self, usage: Usage) -> float:
        return (self.prompt * usage.prompt_tokens + self.completion * usage.completion_tokens) / 1e6


@dataclass(slots=True)
class _Pace:
    """The average time of a model's answers, in seconds."""

    seconds: float = 0.0
    answers: int = 0

    def learn(self, seconds: float) -> None:
        self.answers = min(self.answers + 1, MEMORY)
        self.seconds += (seconds - self.seconds) / self.answers


class Spending:
    """One for the life of the process. Entries of a shared cache may name models of another configuration:
    those are counted as `unknown`."""

    def __init__(self, collectors: Collectors) -> None:
        self._collectors = collectors
        self._prices: Mapping[str, Price | None] = {}
        self._paces: dict[str, _Pace] = {}

    def configure(self, prices: Mapping[str, Price | None]) -> None:
        """`prices` has every model of the pool, None where no price is known."""
        self._prices = prices
        self._paces = {model: self._paces.get(model, _Pace()) for model in prices}

    def ended(self, note: AnswerEnded) -> None:
        if note.complete and note.model in self._paces:
            self._paces[note.model].learn(max(0.0, note.seconds))
        if note.usage is None:
            self._collectors.count("router_usage_unknown_total", note.model)
            return
        usage, model, count = note.usage, note.model, self._collectors.count
        count("llm_model_tokens_total", model, by=usage.prompt_tokens + usage.completion_tokens)
        count("llm_model_prompt_tokens_total", model, by=usage.prompt_tokens)
        count("llm_model_completion_tokens_total", model, by=usage.completion_tokens)
        self._collectors.observe("llm_prompt_tokens_per_request", usage.prompt_tokens, model)
        self._collectors.observe("llm_completion_tokens_per_request", usage.completion_tokens, model)
        price = self._prices.get(model)
        if price is not None:
            count("llm_model_cost_total", model, price.currency, by=price.of(usage))

    def spared(self, note: CacheHit) -> None:
        """A stale answer spares nothing: its model was asked, and failed."""
        if note.kind is HitKind.STALE:
            return
        model, count = note.model if note.model in self._prices else UNKNOWN, self._collectors.count
        pace = self._paces.get(model)
        if pace is not None and pace.answers:
            count("router_cache_saved_seconds_total", model, by=pace.seconds - max(0.0, note.seconds))
        if note.usage is None:
            return
        count("router_cache_saved_tokens_total", model, Part.PROMPT, by=note.usage.prompt_tokens)
        count("router_cache_saved_tokens_total", model, Part.COMPLETION, by=note.usage.completion_tokens)
        price = self._prices.get(model)
        if price is not None:
            count("router_cache_saved_cost_total", model, price.currency, by=price.of(note.usage))

"""What one simulated server is started with."""

from dataclasses import dataclass
from typing import Final

CONTEXT_TOKENS: Final = 40_960
"""The longest prompt where nothing else is said: Qwen3's own `max_position_embeddings`."""


@dataclass(frozen=True, slots=True)
class SimulatedModel:
    """A model behind one address. Port 0 lets the kernel choose.

    `aliases` are further names it answers to, like vLLM's `--served-model-name`: the default model of a
    pool should know `auto`, for the requests that Envoy forwards while the router is away.
    `time_to_first_token` in seconds, `tokens_per_second` for each request. `slots` requests are generated
    at a time and `queue` more may wait; `context_tokens` is the longest prompt.
    """

    name: str
    host: str
    port: int
    aliases: tuple[str, ...] = ()
    time_to_first_token: float = 0.05
    tokens_per_second: float = 100.0
    slots: int = 256
    queue: int = 4096
    context_tokens: int = CONTEXT_TOKENS

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)

"""The canonical form of a chat completion: what is stored, and what JSON and SSE are rendered from."""

from dataclasses import dataclass

from router_extproc.base.refusals import Uncached


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as the upstream reported them."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Completion:
    """One complete assistant message.

    `content` is byte-exact text. `extras` are the message's other text fields in order of appearance,
    for example `("reasoning_content", "...")`; fields that are not text make an answer unstorable.
    """

    model: str
    content: str
    finish_reason: str
    extras: tuple[tuple[str, str], ...] = ()
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Unfoldable:
    """An upstream answer that has no canonical form, and the reason."""

    reason: Uncached


Folded = Completion | Unfoldable

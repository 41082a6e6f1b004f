"""A whole generation as the tokens of each choice, before any of it is sent. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from router_extproc.base.digest import digest
from router_extproc.simulator.answers import answer, arguments, thinking
from router_extproc.simulator.requests import ChatRequest, Tool
from router_extproc.simulator.tokens import tokenise

FinishReason = Literal["stop", "length", "tool_calls"]

Channel = Literal["reasoning_content", "content", "arguments"]
"""Which field of the message a token belongs to."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool; its arguments are the choice's tokens."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice: its tokens in order of generation."""

    tokens: tuple[tuple[Channel, str], ...]
    finish_reason: FinishReason
    call: Call | None = None

    def text(self, channel: Channel) -> str:
        return "".join(token for of, token in self.tokens if of == channel)


@dataclass(frozen=True, slots=True)
class Generation:
    choices: tuple[Choice, ...]
    prompt_tokens: int

    @property
    def completion_tokens(self) -> int:
        return sum(len(choice.tokens) for choice in self.choices)

    @property
    def steps(self) -> int:
        """Decoding steps: the choices are generated side by side, one token of each in a step."""
        return max(len(choice.tokens) for choice in self.choices)

    def step(self, index: int) -> Iterator[tuple[int, Channel, str]]:
        """The tokens of one step as (choice, channel, token)."""
        for number, choice in enumerate(self.choices):
            if index < len(choice.tokens):
                channel, token = choice.tokens[index]
                yield number, channel, token


def generate(request: ChatRequest, model: str) -> Generation:
    """What `model` answers; the same for the same model and messages."""
    seed = request.seed(model)
    choices = tuple(
        _choice(request, digest("choice", [seed.encode("ascii"), bytes([index])]))
        for index in range(request.n or 1)
    )
    return Generation(choices, request.prompt_tokens())


def _choice(request: ChatRequest, seed: str) -> Choice:
    question = request.question()
    tokens: list[tuple[Channel, str]] = []
    if request.thinks:
        tokens += (("reasoning_content", token) for token in tokenise(thinking(seed, question)))
    reason: FinishReason = "stop"
    call: Call | None = None
    if (tool := request.forced_tool()) is not None:
        call, reason = Call(f"chatcmpl-tool-{seed}", tool.function.name), "tool_calls"
        tokens += (("arguments", token) for token in tokenise(_arguments(seed, tool)))
    else:
        text = _before_stop(answer(seed, question), request.stops)
        tokens += (("content", token) for token in tokenise(text))
    if request.limit is not None and len(tokens) > request.limit:
        tokens, reason = tokens[: request.limit], "length"
    return Choice(tuple(tokens), reason, call)


def _arguments(seed: str, tool: Tool) -> str:
    return json.dumps(arguments(seed, tool.function.parameters))


def _before_stop(text: str, stops: tuple[str, ...]) -> str:
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(found)] if found else text

"""A chat completion request as the simulated server reads it. Pure; knows nothing of HTTP."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from router_extproc.base.digest import digest
from router_extproc.simulator.tokens import count_tokens

TOKENS_PER_MESSAGE = 4
"""What a chat template adds around each message."""

TOKENS_PER_PART = 85
"""An image or another part that is not text."""

MAX_CHOICES = 16


class Part(Struct, frozen=True):
    type: str
    text: str | None = None


class Message(Struct, frozen=True):
    role: str
    content: str | list[Part] | None = None
    tool_calls: list[msgspec.Raw] | None = None

    def text(self) -> str:
        """The text of the message, its parts joined by line ends."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content or () if part.text is not None)


class StreamOptions(Struct, frozen=True):
    include_usage: bool = False


class Function(Struct, frozen=True):
    name: Annotated[str, Meta(min_length=1)]
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)


class Tool(Struct, frozen=True):
    function: Function
    type: str = "function"


class FunctionName(Struct, frozen=True):
    name: str


class NamedTool(Struct, frozen=True):
    function: FunctionName
    type: str = "function"


PositiveInt = Annotated[int, Meta(ge=1)]


class ChatRequest(Struct, frozen=True):
    """The fields that change the answer; all others are accepted and ignored, sampling among them."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    model: str = ""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=MAX_CHOICES)] | None = None
    max_tokens: PositiveInt | None = None
    max_completion_tokens: PositiveInt | None = None
    stop: str | list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: str | NamedTool | None = None
    chat_template_kwargs: dict[str, Any] | None = None

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def limit(self) -> int | None:
        """The most tokens to generate, or None."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings, without empty ones."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(stop for stop in given if stop)

    @property
    def thinks(self) -> bool:
        return (self.chat_template_kwargs or {}).get("enable_thinking") is True

    def forced_tool(self) -> Tool | None:
        """The tool that must be called: the named one, or for `required` the first."""
        tools = self.tools or []
        if isinstance(self.tool_choice, NamedTool):
            name = self.tool_choice.function.name
            return next((tool for tool in tools if tool.function.name == name), None)
        return tools[0] if self.tool_choice == "required" and tools else None

    def question(self) -> str:
        """The last user message's text; empty when there is none."""
        return next((each.text() for each in reversed(self.messages) if each.role == "user"), "")

    def prompt_tokens(self) -> int:
        """Tokens of all texts, a constant for each message and for each part that is not text."""
        return sum(_message_tokens(message) for message in self.messages)

    def seed(self, model: str) -> str:
        """A digest of the model and the conversation: equal ones get equal answers."""
        return digest("simulator", [model.encode("utf-8"), msgspec.json.encode(self.messages)])


class InvalidRequestError(Exception):
    """A body that is no chat completion request. The message names the field, never its content."""


def parse_request(body: bytes) -> ChatRequest:
    """Raises InvalidRequestError."""
    try:
        request = msgspec.json.decode(body, type=ChatRequest)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"The body is not valid JSON: {error}") from None
    if request.tool_choice == "required" and not request.tools:
        raise InvalidRequestError("`tool_choice` is `required` but `tools` is empty")
    if isinstance(request.tool_choice, NamedTool) and request.forced_tool() is None:
        raise InvalidRequestError("`tool_choice` names a tool that is not in `tools`")
    return request


def _message_tokens(message: Message) -> int:
    parts = message.content if isinstance(message.content, list) else []
    other = sum(1 for part in parts if part.text is None)
    return TOKENS_PER_MESSAGE + count_tokens(message.text()) + TOKENS_PER_PART * other

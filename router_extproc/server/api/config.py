"""`/config/*`: the configuration in force, and another one in its place. Knows nothing of files or keys: who
does is given."""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol

from msgspec import Meta

from router_extproc.server.api.route import LARGE_BODY, Access, Route, Shape
from router_extproc.server.replies import Code

TAG: Final = "config"

Digest = Annotated[str, Meta(description="SHA-256 of the file, in hexadecimal.")]
Document = Annotated[
    str,
    Meta(
        min_length=1, max_length=LARGE_BODY, description="The whole file, in YAML, in any form it may have."
    ),
]


class ConfigState(Shape, frozen=True):
    """`generation` counts the configurations served with since the start; `problem` says why a changed file
    was refused. `configuration` has every key, defaults too, with what is secret as `***`."""

    generation: int
    policy: str
    problem: str | None
    hash: Digest
    configuration: dict[str, Any]


class ConfigHash(Shape, frozen=True):
    hash: Digest
    generation: int


class ConfigDraft(Shape, frozen=True):
    content: Document


class ConfigReplacement(Shape, frozen=True):
    """`expected_hash`: refuse where the file is not this one any more."""

    content: Document
    expected_hash: Annotated[str, Meta(max_length=64)] | None = None


class ConfigVerdict(Shape, frozen=True):
    """`restart`: the configuration is valid, and some of what it changes is read at the router's start."""

    valid: bool
    problems: list[str]
    warnings: list[str]
    restart: str | None


class ConfigFile(Protocol):
    """The configuration's file and what is served with."""

    async def state(self) -> ConfigState: ...

    async def check(self, content: str) -> ConfigVerdict: ...

    async def replace(self, content: str, expected: str | None) -> ConfigState:
        """Write it and serve with it, or leave everything as it was and raise RefusedError."""
        ...


def config_routes(file: ConfigFile) -> tuple[Route, ...]:
    calls = _Calls(file)
    return (
        Route(
            "GET", "/config/router", TAG, "The configuration in force",
            {200: ConfigState}, calls.state, access=Access.TOKEN, codes=(Code.CONFIG_READ_ONLY,),
        ),
        Route(
            "GET", "/config/hash", TAG, "Which file is in force",
            {200: ConfigHash}, calls.hash, access=Access.TOKEN, codes=(Code.CONFIG_READ_ONLY,),
        ),
        Route(
            "POST", "/config/router/validate", TAG, "Whether the router could serve with a configuration",
            {200: ConfigVerdict}, calls.check, takes=ConfigDraft, access=Access.TOKEN, body_bytes=LARGE_BODY,
        ),
        Route(
            "PUT", "/config/router", TAG, "Write the configuration and serve with it, or change nothing",
            {200: ConfigState}, calls.replace, takes=ConfigReplacement, access=Access.TOKEN,
            body_bytes=LARGE_BODY,
            codes=(Code.CONFIG_CHANGED, Code.CONFIG_READ_ONLY, Code.CONFIG_REFUSED),
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Calls:
    file: ConfigFile

    async def state(self, _: None) -> ConfigState:
        return await self.file.state()

    async def hash(self, _: None) -> ConfigHash:
        now = await self.file.state()
        return ConfigHash(hash=now.hash, generation=now.generation)

    async def check(self, asked: ConfigDraft) -> ConfigVerdict:
        return await self.file.check(asked.content)

    async def replace(self, asked: ConfigReplacement) -> ConfigState:
        return await self.file.replace(asked.content, asked.expected_hash)

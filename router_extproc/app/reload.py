"""A configuration that changes while the router serves: checked first, taken over whole or not at all.

Requests under way finish with the plan they began with, because each took it at its start. What is read at
start only (addresses, the encoder, the cache's store) cannot change here: such a change is refused by name.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

from router_extproc.app.configuration import Configuration, away_of
from router_extproc.base.errors import ConfigError, OperatorError
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.server.driver import log_bug
from router_extproc.settings.schema import Settings

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 1.0
"""Between two looks at the files. Polling sees what notifications miss: a mounted ConfigMap is replaced by
renaming a folder that a link two levels up points to."""

AT_START: Final = ("listeners", "encoder", "limits", "workers", "shutdown", "admin", "page", "simulator")
CACHE_AT_START: Final = (
    "enabled",
    "backend_type",
    "backend_config_path",
    "milvus",
    "scope",
    "tenant_key_env",
    "max_entries",
    "max_bytes",
    "eviction_policy",
    "invalidation_poll_seconds",
    "stale_if_error_seconds",
    "max_pending_writes",
    "max_pending_bytes",
)

TRACING_AT_START: Final = ("enabled", "provider", "exporter", "resource")

SCREENING_AT_START: Final = ("max_tokens",)


class Outcome(StrEnum):
    """What became of a changed configuration; the label of `router_configuration_reloads_total`."""

    TAKEN = "taken"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Generation:
    """`number` counts the configurations this process has served with, from 1."""

    number: int
    configuration: Configuration
    plan: Snapshot


Compile = Callable[[Configuration], Awaitable[Snapshot]]
"""Raises OperatorError for a configuration that cannot be served with."""


class Proxy(Protocol):
    """The Envoy before the router, where the router writes what it reads."""

    async def introduce(self, configuration: Configuration) -> None:
        """Make it know what is new. OperatorError: it does not, and goes on as before."""
        ...

    def retire(self, configuration: Configuration) -> None:
        """Begin to make it forget what is not in `configuration` any more."""
        ...


class Generations:
    """The generation in force. One reload at a time."""

    def __init__(
        self,
        first: Generation,
        compile: Compile,
        on_reload: Callable[[Outcome, Generation], None],
        proxy: Proxy | None = None,
        outdated: Callable[[], bool] = lambda: False,
    ) -> None:
        """`on_reload` is told of every reload, with the generation that is in force afterwards. `proxy` knows
        every new model before the first request can be sent to it; without one, Envoy is somebody else's
        affair, and new models need a restart. `outdated` tells, from any thread, whether a secret that the
        plan in force was made with has changed: the configuration does not hold it."""
        self._proxy = proxy
        self._outdated = outdated
        self._current = first
        self._compile = compile
        self._on_reload = on_reload
        self._lock = asyncio.Lock()
        self.problem: str | None = None
        """Why the last reload was refused; None after one that was not."""

    @property
    def current(self) -> Generation:
        return self._current

    async def reload(self) -> Outcome:
        """Read the file again. A refused configuration is logged and changes nothing."""
        async with self._lock:
            try:
                outcome = await self._take_over()
            except OperatorError as error:
                self.problem = str(error)
                log.error(
                    "the changed configuration is refused, generation %s stays: %s",
                    self._current.number,
                    error,
                )
                outcome = Outcome.REFUSED
            except Exception as error:
                # A bug must not end the watch: the next change may be the cure.
                self.problem = f"a bug of the router ({type(error).__name__}); its log says where"
                log_bug("reload", error)
                outcome = Outcome.REFUSED
            else:
                self.problem = None
            self._on_reload(outcome, self._current)
            return outcome

    def as_json(self) -> dict[str, object]:
        """What operators are told."""
        now = self._current
        return {"generation": now.number, "policy": now.plan.generation, "problem": self.problem}

    async def _take_over(self) -> Outcome:
        before = self._current
        configuration = await asyncio.to_thread(before.configuration.reread)
        if configuration == before.configuration and not await asyncio.to_thread(self._outdated):
            return Outcome.UNCHANGED
        check_reloadable(before.configuration, configuration)
        if self._proxy is None:
            check_pool(before.configuration, configuration)
            if away_of(before.configuration.settings) is not away_of(configuration.settings):
                log.warning(
                    "%s: the guards have changed what Envoy must refuse while this router is away, and this "
                    "router does not write Envoy's configuration; give Envoy the new one (`render-envoy`)",
                    configuration.path,
                )
        plan = await self._compile(configuration)
        if self._proxy is not None:
            await self._proxy.introduce(configuration)
        self._current = Generation(before.number + 1, configuration, plan)
        if self._proxy is not None:
            self._proxy.retire(configuration)
        log.info("serving generation %s (%s)", self._current.number, plan.generation)
        return Outcome.TAKEN


def check_reloadable(before: Configuration, after: Configuration) -> None:
    """Raises ConfigError naming every changed key that is read at start only."""
    keys = [*_changed(before.settings, after.settings)]
    if before.milvus != after.milvus and after.milvus_path != after.path:
        keys.append(f"{after.milvus_path}")
    if keys:
        raise ConfigError(
            f"{after.path}: {', '.join(keys)}: read at start only; restart the router, or set it back "
            "and the other changes are taken over"
        )


def check_pool(before: Configuration, after: Configuration) -> None:
    """Raises ConfigError naming every model that Envoy may not know."""
    new = sorted(after.settings.models.keys() - before.settings.models.keys())
    if new:
        raise ConfigError(
            f"{after.path}: model_config: {', '.join(new)}: is new, and this router does not write Envoy's "
            "configuration; give Envoy the new one (`render-envoy`), then restart the router"
        )


def _changed(before: Settings, after: Settings) -> Iterator[str]:
    one, other = before.model_dump(), after.model_dump()
    yield from _differing(one, other, AT_START, "")
    yield from _differing(one["semantic_cache"], other["semantic_cache"], CACHE_AT_START, "semantic_cache.")
    logged, others = one["observability"], other["observability"]
    yield from _differing(logged, others, ("log_format",), "observability.")
    traced, retraced = logged["tracing"], others["tracing"]
    yield from _differing(traced, retraced, TRACING_AT_START, "observability.tracing.")
    yield from _differing(one["screening"], other["screening"], SCREENING_AT_START, "screening.")


def _differing(
    one: Mapping[str, Any], other: Mapping[str, Any], keys: Iterable[str], prefix: str
) -> Iterator[str]:
    for key in keys:
        if one[key] != other[key]:
            yield prefix + key


async def watch(
    files: Callable[[], Iterable[Path]],
    changed: Callable[[], Awaitable[object]],
    interval: float = POLL_SECONDS,
    seen: Mapping[Path, str] | None = None,
) -> None:
    """Call `changed` whenever the content of one of `files` did; runs until it is cancelled. `seen` are the
    SHA-256 digests (hexadecimal) of what was read before; None is what is there now."""
    if seen is None:
        seen = await asyncio.to_thread(_fingerprint, files())
    while True:
        await asyncio.sleep(interval)
        now = await asyncio.to_thread(_fingerprint, files())
        if now != seen:
            seen = now
            await changed()


def _fingerprint(files: Iterable[Path]) -> dict[Path, str]:
    """A file that cannot be read has a fingerprint too: it differs from the one it had."""
    return {path: _digest(path) for path in files}


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable: {error.errno}"

"""What the schema cannot say: names that must exist, addresses that must differ, keys without effect."""

from collections.abc import Iterator
from pathlib import Path

from router_extproc.base.errors import ConfigError
from router_extproc.base.names import ACCOUNTS, FOR_ROUTER, INTERNAL, SECRETS
from router_extproc.settings.check_decisions import decision_problems
from router_extproc.settings.check_guards import guard_problems
from router_extproc.settings.check_milvus import milvus_problems
from router_extproc.settings.check_models import model_problems
from router_extproc.settings.check_pool import pool_problems
from router_extproc.settings.check_signals import signal_problems
from router_extproc.settings.check_thinking import thinking_problems
from router_extproc.settings.check_tools import tool_problems
from router_extproc.settings.milvus_schema import MilvusSettings
from router_extproc.settings.problem import Problem, Severity
from router_extproc.settings.schema import Settings

MAX_BUDGET_MS = 4000
"""The router's own deadlines for one message stay below this: Envoy waits 5 s for the reply
(`message_timeout`, `MESSAGE_TIMEOUT` in envoyconf/listener.py) and then goes on without the router."""

MAX_MILVUS_ANSWER_BYTES = 384 * 1024
"""A row of Milvus holds 8 x 65,535 bytes (`PIECES` in stores/codec.py), of which 128 KiB are left to the
prompt, the other fields and escapes."""


def check_settings(path: Path, settings: Settings) -> None:
    """Raises ConfigError with every problem found, each with its path in the file."""
    problems = [each for each in problems_in(path, settings) if each.severity is not Severity.WARNING]
    if problems:
        raise ConfigError(f"{path}: {'; '.join(map(str, problems))}")


def problems_in(path: Path, settings: Settings) -> Iterator[Problem]:
    """Everything that is wrong, without effect or worth a warning. Paths in `settings` are relative to
    `path`."""
    yield from pool_problems(settings)
    yield from decision_problems(settings)
    yield from signal_problems(path, settings)
    yield from tool_problems(path, settings)
    yield from thinking_problems(settings)
    yield from guard_problems(settings)
    yield from model_problems(path, settings)
    yield from _cache_problems(settings)
    yield from _verifier_problems(settings)
    yield from _scope_problems(settings)
    yield from _session_problems(settings)
    yield from _budget_problems(settings)


def _cache_problems(settings: Settings) -> Iterator[Problem]:
    cache = settings.semantic_cache
    if cache.backend_type == "memory":
        given = {"max_pending_writes", "max_pending_bytes"} & cache.model_fields_set
        given |= {key for key in ("backend_config_path", "milvus") if getattr(cache, key) is not None}
        for key in sorted(given):
            yield Problem(
                ("semantic_cache", key), "has no effect with backend_type memory; remove it", Severity.IDLE
            )
        return
    if cache.milvus is not None:
        yield from _inline_problems(cache.milvus, cache.backend_type)
        if cache.backend_config_path is not None:
            yield Problem(
                ("semantic_cache", "backend_config_path"),
                "has no effect beside semantic_cache.milvus; remove one of them",
                Severity.IDLE,
            )
    elif cache.backend_config_path is None:
        yield Problem(
            ("semantic_cache", "backend_config_path"),
            f"is required with backend_type {cache.backend_type}; or give semantic_cache.milvus",
        )
    if cache.max_answer_bytes > MAX_MILVUS_ANSWER_BYTES:
        yield Problem(
            ("semantic_cache", "max_answer_bytes"),
            f"a row of Milvus holds answers of {MAX_MILVUS_ANSWER_BYTES} bytes; lower it, or use "
            "backend_type memory",
        )


def _inline_problems(milvus: MilvusSettings, backend: str) -> Iterator[Problem]:
    """Those of `semantic_cache.milvus`."""
    for problem in milvus_problems(milvus):
        yield Problem(("semantic_cache", "milvus", *problem.loc), problem.text)
    if backend == "milvus" and milvus.connection.path is not None:
        yield Problem(
            ("semantic_cache", "backend_type"),
            "`milvus` finds neighbours in a Milvus server, and semantic_cache.milvus names an embedded "
            "folder; use `hybrid`, or give connection.host",
        )


def _verifier_problems(settings: Settings) -> Iterator[Problem]:
    """With `veto` above `threshold`, a sign of a difference would make an answer from the cache likelier."""
    cache = settings.semantic_cache
    verifier = cache.verifier
    if not cache.enabled or not verifier.enabled or verifier.veto <= verifier.threshold:
        return
    given = verifier.model_fields_set
    veto, threshold = (
        f"{getattr(verifier, key)}{'' if key in given else ', the default,'}" for key in ("veto", "threshold")
    )
    yield Problem(
        ("semantic_cache", "verifier", "veto"),
        f"{veto} is above threshold, {threshold.removesuffix(',')}: a candidate with a sign of a difference "
        "would need less certainty than one without; lower veto to at most threshold, or raise threshold",
    )


RESERVED_HEADERS = frozenset((*INTERNAL, *SECRETS, *ACCOUNTS, *FOR_ROUTER)) | frozenset(
    "accept accept-encoding connection content-length content-type cookie host te traceparent tracestate "
    "transfer-encoding upgrade user-agent x-forwarded-for x-request-id".split()
)
"""Fields that clients send, or that mean something else: Envoy could not set a tenant in them."""


def _scope_problems(settings: Settings) -> Iterator[Problem]:
    name = settings.semantic_cache.scope.removeprefix("header:")
    if name in RESERVED_HEADERS:
        yield Problem(
            ("semantic_cache", "scope"),
            f"Envoy removes {name!r} from requests and sets it after it has authenticated the client, and "
            "this field is used otherwise; name one of your own",
        )


def _session_problems(settings: Settings) -> Iterator[Problem]:
    session = settings.session
    if session.header in RESERVED_HEADERS:
        yield Problem(("session", "header"), f"{session.header!r} means something else; name one of your own")
    if session.policy == "none":
        for key in sorted(session.model_fields_set - {"policy"}):
            yield Problem(("session", key), "has no effect with policy none; remove it", Severity.IDLE)


def _budget_problems(settings: Settings) -> Iterator[Problem]:
    """One message may wait for the lookups, an identical request, the analysis and the verifier."""
    analysis, cache = settings.encoder.timeout_ms, settings.semantic_cache
    lookup, company = cache.lookup_timeout_ms, cache.coalesce_timeout_ms
    passes = 1 + (cache.enabled and cache.verifier.enabled)
    if passes * analysis + lookup + company >= MAX_BUDGET_MS:
        twice = " (twice, for the verifier has as much)" if passes == 2 else ""
        yield Problem(
            ("encoder", "timeout_ms"),
            f"{analysis} ms{twice}, semantic_cache.lookup_timeout_ms ({lookup} ms) and "
            f"semantic_cache.coalesce_timeout_ms ({company} ms) must stay below {MAX_BUDGET_MS} ms together, "
            "because Envoy waits 5000 ms for the router; lower one of them",
        )

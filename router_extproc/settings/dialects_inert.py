"""Keys that vLLM Semantic Router accepted and that have no effect here, each with the reason.

They are taken out of a document before it is translated. Whatever else a section has stays in it, to be
honoured or refused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from router_extproc.settings.problem import Loc, Notice, Problem, pattern_of, unknown_key
from router_extproc.settings.refused import SUBKEYS, WITHOUT_EFFECT

_ENCODER = "one encoder makes all vectors here, see `encoder`"
_HEAD = (
    "domains are told by the router's own head; for a model of yours give its folder as `path` of an entry "
    "of `classifiers` with `use_as_domain: true`"
)
_GUARD = (
    "attacks are told by the router's own head; for a model of yours in ONNX give its folder as "
    "`prompt_guard.path`"
)
_PII = (
    "personal data is found by the router's own head and patterns; for a model of yours in ONNX give its "
    "folder as `classifier.pii_model.path`"
)
_NO_FACTS = "answers are not checked for hallucinations in this release"
_COMMENT = "is a comment"
_MILVUS = "semantic_cache.milvus."

_ROUTER = """
high_confidence_threshold low_latency_threshold_ms lora_baseline_score traditional_baseline_score
embedding_baseline_score success_confidence_threshold large_batch_threshold lora_default_execution_time_ms
traditional_default_execution_time_ms default_confidence_threshold default_max_latency_ms default_batch_size
default_avg_execution_time_ms lora_default_confidence traditional_default_confidence lora_default_success_rate
traditional_default_success_rate multi_task_lora_weight single_task_traditional_weight large_batch_lora_weight
small_batch_traditional_weight medium_batch_weight high_confidence_lora_weight
low_confidence_traditional_weight low_latency_lora_weight high_latency_traditional_weight
performance_history_weight traditional_bert_confidence_threshold traditional_modernbert_confidence_threshold
traditional_pii_detection_threshold traditional_token_classification_threshold traditional_dropout_prob
traditional_attention_dropout_prob tie_break_confidence
"""
_MODEL = "model_id threshold use_cpu use_mmbert_32k"


@dataclass(frozen=True, slots=True)
class Whole:
    """A section of which nothing has an effect. `keys`: what may stand in it, dotted, `*` for any key or each
    item of a list."""

    keys: str
    reason: str


WHOLE: Mapping[str, Whole] = MappingProxyType(
    {
        "bert_model": Whole(
            "model_id threshold use_cpu",
            f"{_ENCODER}; as a threshold for another encoder's vectors it stands in for nothing: set "
            "semantic_cache.similarity_threshold and tools.similarity_threshold where the defaults do not do",
        ),
        "embedding_models": Whole(
            "qwen3_model_path gemma_model_path mmbert_model_path bert_model_path use_cpu", _ENCODER
        ),
        "prompt_guard.classifier_vllm_endpoint": Whole(
            "address port name use_chat_template prompt_template", _GUARD
        ),
        "classifier.mcp_category_model": Whole(
            "enabled transport_type command args env.* url tool_name threshold timeout_seconds",
            "no classifier is asked over MCP; the domain head decides, or a model given in `classifiers`",
        ),
        "router": Whole(_ROUTER, "there is one path through one encoder, so nothing to score paths with"),
        "api": Whole(
            "batch_classification.max_batch_size batch_classification.concurrency_threshold "
            "batch_classification.max_concurrency batch_classification.metrics.enabled "
            "batch_classification.metrics.sample_rate batch_classification.metrics.duration_buckets "
            "batch_classification.metrics.size_buckets batch_classification.metrics.batch_size_ranges.*.min "
            "batch_classification.metrics.batch_size_ranges.*.max "
            "batch_classification.metrics.batch_size_ranges.*.label "
            "batch_classification.metrics.detailed_goroutine_tracking "
            "batch_classification.metrics.high_resolution_timing",
            "there is no API for batches of texts in this release",
        ),
        "observability.metrics": Whole(
            "enabled windowed_metrics.enabled windowed_metrics.time_windows windowed_metrics.update_interval "
            "windowed_metrics.model_metrics windowed_metrics.queue_depth_estimation "
            "windowed_metrics.max_models",
            "metrics are always served, on listeners.metrics; windows are the query's business",
        ),
        "response_api": Whole(
            "enabled store_backend ttl_seconds max_responses backend_config_path milvus.address "
            "milvus.database milvus.collection redis.*",
            "/v1/responses is not served in this release",
        ),
        "hallucination_mitigation": Whole(
            "enabled on_hallucination_detected "
            + " ".join(
                f"{part}.{key}"
                for part in ("fact_check_model", "hallucination_model", "nli_model")
                for key in (
                    f"{_MODEL} min_span_length min_span_confidence context_window_size "
                    "enable_nli_filtering nli_entailment_threshold"
                ).split()
            ),
            _NO_FACTS,
        ),
        "feedback_detector": Whole(
            f"enabled {_MODEL} use_modernbert", "there is no user-feedback signal here"
        ),
        "fact_check_rules": Whole("*.name *.description", "there is no fact-check signal here"),
        "user_feedback_rules": Whole("*.name *.description", "there is no user-feedback signal here"),
        "preference_rules": Whole("*.name *.description", "there is no preference signal here"),
        "mom_registry": Whole(
            "*", "no model is fetched by path; `router-extproc models build` makes the encoder"
        ),
        **{f"{_MILVUS}{path}": Whole(keys, WITHOUT_EFFECT[path]) for path, keys in SUBKEYS.items()},
    }
)
"""Sections of which nothing has an effect, by pattern."""

INERT: Mapping[str, str] = MappingProxyType(
    {
        "clear_route_cache": "Envoy's route is always chosen again after a model was",
        "semantic_cache.embedding_model": _ENCODER,
        "semantic_cache.use_hnsw": "an index is made in memory as soon as a partition is large enough",
        "semantic_cache.hnsw_m": "the index in memory has fixed parameters; Milvus's are in its own file",
        "semantic_cache.hnsw_ef_construction": (
            "the index in memory has fixed parameters; Milvus's are in its own file"
        ),
        "semantic_cache.max_memory_entries": "the bound of entries in memory is semantic_cache.max_entries",
        **{
            f"classifier.category_model.{key}": _HEAD
            for key in "model_id use_cpu use_modernbert use_mmbert_32k category_mapping_path".split()
        },
        **{
            f"prompt_guard.{key}": _GUARD
            for key in (
                "model_id use_cpu use_modernbert use_mmbert_32k jailbreak_mapping_path use_vllm "
                "vllm_model_name vllm_timeout_seconds response_parser_type"
            ).split()
        },
        **{
            f"classifier.pii_model.{key}": _PII
            for key in "model_id use_cpu use_modernbert use_mmbert_32k pii_mapping_path".split()
        },
        "categories.*.description": _COMMENT,
        "categories.*.model_scores.*.reasoning_description": _COMMENT,
        "decisions.*.modelRefs.*.reasoning_description": _COMMENT,
        "keyword_rules.*.description": _COMMENT,
        "embedding_rules.*.description": _COMMENT,
        **{
            f"embedding_rules.*.{key}": _ENCODER
            for key in "model dimension quality_priority latency_priority".split()
        },
        "language_rules.*.description": _COMMENT,
        "context_rules.*.description": _COMMENT,
        **{f"{_MILVUS}{path}": reason for path, reason in WITHOUT_EFFECT.items() if path not in SUBKEYS},
    }
)
"""Single keys of sections that have an effect, by pattern."""

PLUGINS: Mapping[str, Whole] = MappingProxyType(
    {
        "hallucination": Whole(
            "enabled use_nli hallucination_action unverified_factual_action include_hallucination_details",
            _NO_FACTS,
        ),
        "header_mutation": Whole(
            "add.*.name add.*.value update.*.name update.*.value delete",
            "headers are Envoy's business: request_headers_to_add of its route does this",
        ),
    }
)
"""Plugins of a decision that have no effect here, by type."""


def strip(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[Notice], list[Problem]]:
    """A copy of `document` without those keys, a notice about each, and the keys in whole sections that
    nobody knows."""
    found: list[Notice | Problem] = []
    rest = _strip(document, (), found)
    return (
        rest,
        [each for each in found if isinstance(each, Notice)],
        [each for each in found if isinstance(each, Problem)],
    )


def inert_names(pattern: str) -> Iterator[str]:
    """The keys of the section at `pattern` that are known and have no effect."""
    prefix = f"{pattern}." if pattern else ""
    for known in (*WHOLE, *INERT):
        if known.startswith(prefix) and (name := known.removeprefix(prefix).partition(".")[0]) != "*":
            yield name


def misfits(value: object, loc: Loc, whole: Whole) -> Iterator[Problem]:
    """The keys in a whole section that are not of it."""
    yield from _misfits(value, loc, whole.keys.split(), "")


def _strip(node: Any, loc: Loc, found: list[Notice | Problem]) -> Any:
    if isinstance(node, list):
        return [_strip(item, (*loc, index), found) for index, item in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    rest: dict[str, Any] = {}
    for key, value in node.items():
        place = (*loc, key)
        pattern = pattern_of(place)
        if whole := WHOLE.get(pattern):
            found.extend(misfits(value, place, whole))
            found.append(Notice(place, whole.reason))
        elif reason := INERT.get(pattern):
            found.append(Notice(place, reason))
        else:
            stripped = _strip(value, place, found)
            # A section of which nothing is left would be refused; a model is there all the same.
            if stripped or not value or not isinstance(value, Mapping) or pattern == "model_config.*":
                rest[key] = stripped
    return rest


def _misfits(value: object, loc: Loc, known: list[str], prefix: str) -> Iterator[Problem]:
    if isinstance(value, list):
        inside = f"{prefix}*."
        if any(name.startswith(inside) for name in known):
            for index, item in enumerate(value):
                yield from _misfits(item, (*loc, index), known, inside)
        return
    if not isinstance(value, Mapping) or f"{prefix}*" in known:
        return
    here = {name.removeprefix(prefix).partition(".")[0] for name in known if name.startswith(prefix)}
    for key, item in value.items():
        if key not in here:
            yield Problem((*loc, key), unknown_key(key, here))
        else:
            yield from _misfits(item, (*loc, key), known, f"{prefix}{key}.")

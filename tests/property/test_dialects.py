"""Every configuration of the two other forms loads, and what `config migrate` makes of it means the same."""

import contextlib
import copy
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from router_extproc.base.errors import ConfigError
from router_extproc.screening.policy import PiiPolicy
from router_extproc.screening.spans import PII_TYPES, types_named
from router_extproc.settings.compile import compile_snapshot
from router_extproc.settings.dialects import Form
from router_extproc.settings.dialects_rules import DOMAINS
from router_extproc.settings.dump import document_of, dump
from router_extproc.settings.load import settle

FILE = Path("config.yaml")
MODELS = ("small", "large")
ADAPTERS = {"small": "small-law", "large": "large-law"}
FAMILIES = {
    "qwen3": {"type": "chat_template_kwargs", "parameter": "enable_thinking"},
    "gpt-oss": {"type": "reasoning_effort", "parameter": "reasoning_effort"},
}
SHARE = st.integers(0, 20).map(lambda number: number / 20)
WORD = st.sampled_from("urgent invoice outage review contract proof 保証 naïve".split())
TYPES = st.lists(st.sampled_from(["PERSON", "GPE", "US_SSN", "NO_PII", "QUASI_IDENTIFIERS"]), max_size=3)
NAMES = st.sampled_from([*sorted(DOMAINS), "Math", "outage", "invoices"])


def optional(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keys)


@st.composite
def references(draw: st.DrawFn, *, scored: bool) -> dict[str, Any]:
    model = draw(st.sampled_from(MODELS))
    reference: dict[str, Any] = {"model": model, "use_reasoning": draw(st.booleans())}
    if scored:
        reference["score"] = draw(SHARE)
    if draw(st.booleans()):
        reference["lora_name"] = ADAPTERS[model]
    extra = optional(
        reasoning_effort=st.sampled_from(["low", "medium", "high", ""]), reasoning_description=WORD
    )
    return reference | draw(extra)


CATEGORY = optional(
    description=WORD,
    system_prompt=st.sampled_from(["Be brief.", "Two\nlines.\n", ""]),
    system_prompt_enabled=st.booleans(),
    system_prompt_mode=st.sampled_from(["replace", "insert"]),
    semantic_cache_enabled=st.booleans(),
    semantic_cache_similarity_threshold=SHARE,
    jailbreak_enabled=st.booleans(),
    jailbreak_threshold=SHARE,
    pii_enabled=st.none() | st.booleans(),
    pii_threshold=SHARE,
    model_scores=st.lists(references(scored=True), max_size=3),
)
KEYWORD = st.fixed_dictionaries(
    {
        "operator": st.sampled_from(["AND", "OR", "NOR"]),
        "keywords": st.lists(WORD, min_size=1, max_size=3),
    },
    optional={"case_sensitive": st.booleans()},
)
EMBEDDING_COMMON = {"threshold": SHARE, "aggregation_method": st.sampled_from(["mean", "max", "any"])}
MILVUS = st.fixed_dictionaries(
    {
        "connection": st.fixed_dictionaries(
            {"host": st.sampled_from(["milvus", "10.0.0.9"])},
            optional={
                "port": st.integers(1, 65535),
                "database": st.sampled_from(["default", "team_a", ""]),
                "timeout": st.integers(0, 60),
                "auth": optional(
                    enabled=st.booleans(),
                    username=st.just("root"),
                    password=st.sampled_from(["hunter2", ""]),
                ).filter(lambda auth: not auth.get("enabled") or "username" in auth),
                "tls": optional(enabled=st.booleans(), ca_file=st.sampled_from(["ca.pem", "/ca.pem", ""])),
            },
        )
    },
    optional={
        "collection": optional(
            name=st.just("answers"),
            description=WORD,
            vector_field=optional(
                name=st.just("meaning"),
                dimension=st.sampled_from([0, 384, 1024]),
                metric_type=st.sampled_from(["IP", "COSINE", "L2"]),
            ),
            index=optional(
                type=st.sampled_from(["HNSW", "IVF_FLAT"]),
                params=optional(M=st.sampled_from([0, 16, 64]), efConstruction=st.sampled_from([0, 64, 512])),
            ),
        ),
        "search": optional(
            params=optional(ef=st.integers(0, 512)),
            topk=st.integers(1, 50),
            consistency_level=st.sampled_from(["Session", "Strong", "Bounded", "Eventually"]),
        ),
        "performance": optional(
            connection_pool=optional(max_connections=st.integers(1, 9)), batch=optional(timeout=SHARE)
        ),
        "data_management": optional(ttl=optional(enabled=st.booleans()), compaction=optional()),
        "logging": optional(level=WORD, enable_query_log=st.booleans()),
        "development": optional(drop_collection_on_startup=st.booleans(), verbose_errors=st.booleans()),
    },
)
TOP = optional(
    bert_model=optional(model_id=WORD, threshold=SHARE, use_cpu=st.booleans()),
    semantic_cache=optional(
        enabled=st.booleans(),
        similarity_threshold=SHARE,
        max_entries=st.integers(1, 9999),
        ttl_seconds=st.integers(1, 9999),
        eviction_policy=st.sampled_from(["fifo", "lru", "lfu"]),
        embedding_model=WORD,
        use_hnsw=st.booleans(),
        backend_type=st.sampled_from(["memory", "milvus", "hybrid"]),
        milvus=MILVUS,
    ).filter(lambda cache: cache.get("backend_type", "memory") == "memory" or "milvus" in cache),
    classifier=optional(
        category_model=optional(threshold=SHARE, model_id=WORD, use_cpu=st.booleans()),
        pii_model=optional(threshold=SHARE, model_id=WORD, pii_mapping_path=WORD),
    ),
    router=optional(large_batch_threshold=st.integers(1, 9)),
    default_reasoning_effort=st.sampled_from(["low", "medium", "high"]),
    prompt_guard=optional(
        enabled=st.booleans(), threshold=SHARE, model_id=WORD, on_error=st.sampled_from(["allow", "block"])
    ),
    screening=optional(max_tokens=st.integers(256, 999), beyond=st.sampled_from(["sample", "refuse"])),
    auto_model_name=st.sampled_from(["MoM", "router"]),
    include_config_models_in_list=st.booleans(),
    clear_route_cache=st.booleans(),
    tools=optional(enabled=st.just(False), top_k=st.integers(1, 9), similarity_threshold=SHARE),
    api=optional(batch_classification=optional(max_batch_size=st.integers(1, 99))),
)


@st.composite
def pools(draw: st.DrawFn) -> dict[str, Any]:
    endpoints = [{"name": "a", "address": "10.0.0.1", "port": 8000}]
    if draw(st.booleans()):
        endpoints.append({"name": "spare", "address": "10.0.0.2", "port": 8000, "weight": 3})
    models = {}
    for name in MODELS:
        extra = optional(
            reasoning_family=st.sampled_from([*FAMILIES, ""]),
            pii_policy=optional(allow_by_default=st.booleans(), pii_types_allowed=TYPES),
            pricing=optional(currency=st.just("USD"), prompt_per_1m=SHARE),
        )
        models[name] = {"preferred_endpoints": ["a"], "loras": [{"name": ADAPTERS[name]}], **draw(extra)}
    document = {
        "vllm_endpoints": endpoints,
        "model_config": models,
        "default_model": draw(st.sampled_from(MODELS)),
        "reasoning_families": FAMILIES,
        "router": {},
    }
    return document | draw(TOP)


@st.composite
def late_2025(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(NAMES, unique_by=str.lower, max_size=5))
    categories = [{"name": name, **draw(CATEGORY)} for name in names]
    mapped = sorted(DOMAINS - {name.lower() for name in names})[:2]
    if len(mapped) > 0 and draw(st.booleans()):
        categories.append({"name": "mixed", "mmlu_categories": mapped, **draw(CATEGORY)})
    rules = st.lists(st.tuples(NAMES, KEYWORD), max_size=3)
    keyword_rules = [{"category": name, **rule} for name, rule in draw(rules)]
    embeddings = st.fixed_dictionaries(
        {"category": NAMES, "keywords": st.lists(WORD, min_size=1, max_size=2), **EMBEDDING_COMMON},
        optional={"model": WORD, "dimension": st.just(768)},
    )
    lists = {
        "categories": categories,
        "keyword_rules": keyword_rules,
        "embedding_rules": draw(st.lists(embeddings, max_size=3)),
    }
    return draw(pools()) | lists


PLUGIN = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("semantic-cache"),
            "configuration": optional(enabled=st.booleans(), similarity_threshold=SHARE),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("system_prompt"),
            "configuration": optional(
                enabled=st.booleans(), system_prompt=WORD, mode=st.sampled_from(["replace", "insert"])
            ),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("jailbreak"),
            "configuration": optional(enabled=st.booleans(), threshold=SHARE),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("pii"),
            "configuration": optional(enabled=st.booleans(), threshold=SHARE, pii_types_allowed=TYPES),
        }
    ),
)


@st.composite
def version_01(draw: st.DrawFn) -> dict[str, Any]:
    conditions: list[Any] = [{"type": "domain", "name": name} for name in ("math", "Law", "mixed")]
    keywords = [{"name": f"k{number}", **draw(KEYWORD)} for number in range(draw(st.integers(0, 3)))]
    conditions += [{"type": "keyword", "name": rule["name"]} for rule in keywords]
    leaves = st.lists(st.sampled_from(conditions), min_size=1, max_size=3)
    decisions = []
    for number in range(draw(st.integers(1, 4))):
        decision: dict[str, Any] = {
            "name": f"d{number}",
            "rules": {"operator": draw(st.sampled_from(["AND", "OR"])), "conditions": draw(leaves)},
        }
        extra = optional(
            priority=st.integers(-5, 500),
            description=WORD,
            modelRefs=st.lists(references(scored=False), min_size=1, max_size=2),
            plugins=st.lists(PLUGIN, max_size=3),
        )
        decisions.append(decision | draw(extra))
    if draw(st.booleans()):
        decisions.append({"name": "rest", "priority": -9, "rules": {"operator": "AND", "conditions": []}})
    categories: list[dict[str, Any]] = [{"name": name, "description": "a domain"} for name in ("math", "law")]
    categories.append({"name": "mixed", "mmlu_categories": ["physics", "biology"]})
    document: dict[str, Any] = {"categories": categories, "keyword_rules": keywords, "decisions": decisions}
    return draw(pools()) | document | draw(optional(strategy=st.sampled_from(["priority", "confidence"])))


def vectors(texts: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    rows = [np.eye(384, dtype=np.float32)[sum(text.encode()) % 384] for text in texts]
    return np.array(rows, dtype=np.float32).reshape(len(rows), 384)


def check(raw: dict[str, Any]) -> None:
    loaded = settle(FILE, raw)
    assert loaded.form is not Form.CANONICAL
    document = yaml.safe_load(dump(document_of(loaded.settings)))
    again = settle(FILE, document)
    assert again.form is Form.CANONICAL
    assert again.settings == loaded.settings
    assert [notice for notice in again.warnings if notice.inert] == []
    plans = [
        compile_snapshot(each, encoder="e", heads="h", embed=vectors)
        for each in (loaded.settings, again.settings)
    ]
    assert plans[0].generation == plans[1].generation
    assert plans[0].screening == plans[1].screening
    policies_hold(raw, plans[0].screening.pii)


def policies_hold(raw: dict[str, Any], pii: PiiPolicy) -> None:
    """No migration lets a model see what the file denies it, unless nobody looks."""
    for name, model in raw["model_config"].items():
        policy = model.get("pii_policy")
        if policy is None or policy.get("allow_by_default"):
            continue
        denied = PII_TYPES - types_named(policy.get("pii_types_allowed", []))
        assert pii.default.enabled
        for served in (name, ADAPTERS[name]):
            assert pii.denied("", served, PII_TYPES) == denied


@settings(deadline=None, max_examples=40)
@given(late_2025())
def test_a_configuration_of_late_2025_comes_out_of_migration_the_same(raw: dict[str, Any]) -> None:
    check(raw)


@settings(deadline=None, max_examples=40)
@given(version_01())
def test_a_configuration_of_version_0_1_comes_out_of_migration_the_same(raw: dict[str, Any]) -> None:
    check(raw)


@settings(deadline=None, max_examples=40)
@given(late_2025(), MILVUS, st.sampled_from(["milvus", "hybrid"]))
def test_a_file_about_milvus_is_the_same_as_its_content_in_place(
    raw: dict[str, Any], milvus: dict[str, Any], backend: str
) -> None:
    cache = {"enabled": True, "backend_type": backend}
    inside = settle(FILE, raw | {"semantic_cache": cache | {"milvus": milvus}})
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "config" / "config.yaml"
        (path.parent / "cache").mkdir(parents=True)
        file = path.parent / "milvus.yaml"
        file.write_text(yaml.safe_dump(milvus, sort_keys=False))
        outside = settle(
            path, raw | {"semantic_cache": cache | {"backend_config_path": "config/milvus.yaml"}}
        )
    assert outside.settings == inside.settings
    prefix = ("semantic_cache", "milvus")
    told = [(each.loc[2:], each.text) for each in inside.warnings if each.loc[:2] == prefix]
    assert told == [(each.loc, each.text) for each in outside.warnings if each.file == str(file)]
    assert "hunter2" not in dump(document_of(outside.settings))


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.just([]), st.just({}), st.just([1])
)


@settings(deadline=None, max_examples=100)
@given(st.one_of(late_2025(), version_01()), st.data())
def test_whatever_stands_in_a_file_is_taken_or_refused_in_words(
    raw: dict[str, Any], data: st.DataObject
) -> None:
    """One value anywhere is replaced by another of any type, or a key is added."""
    raw = copy.deepcopy(raw)
    node: Any = raw
    while True:
        keys = sorted(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if not isinstance(node[key], dict | list) or data.draw(st.booleans()):
            break
        node = node[key]
    if isinstance(node, dict) and data.draw(st.booleans()):
        node["surprise"] = data.draw(JUNK)
    else:
        node[key] = data.draw(JUNK)
    with contextlib.suppress(ConfigError):
        settle(FILE, raw)

"""What vLLM Semantic Router has about Milvus in its configuration: each key has an effect or a word."""

from typing import Any

import pytest

from router_extproc.base.errors import ConfigError
from router_extproc.settings.dialects import Form
from router_extproc.settings.load import settle
from router_extproc.settings.milvus_schema import MilvusSettings
from router_extproc.settings.refused import IN_THE_OPEN
from tests.unit.settings.test_dialects import FILE, OURS, canonical, refused, settled, warnings

INSIDE = "semantic_cache.milvus"


def cache(**milvus: Any) -> dict[str, Any]:
    document = {"connection": {"host": "h"}} | milvus
    return {"enabled": True, "backend_type": "milvus", "milvus": document}


def taken(**milvus: Any) -> MilvusSettings:
    found = settled(semantic_cache=cache(**milvus)).settings.semantic_cache.milvus
    assert found is not None
    return found


def said(**milvus: Any) -> dict[str, str]:
    found = warnings(semantic_cache=cache(**milvus))
    return {path.removeprefix(f"{INSIDE}."): text for path, text in found.items() if INSIDE in path}


def test_what_means_the_same_is_taken_as_it_is_without_a_word() -> None:
    milvus: dict[str, Any] = {
        "connection": {"host": "h", "port": 19531, "timeout": 30, "database": "default"},
        "collection": {
            "name": "answers",
            "description": "d",
            "vector_field": {"name": "meaning", "metric_type": "IP"},
            "index": {"type": "HNSW", "params": {"M": 24, "efConstruction": 128}},
        },
        "search": {"params": {"ef": 96}, "topk": 10, "consistency_level": "Strong"},
    }
    assert taken(**milvus) == MilvusSettings.model_validate(milvus)
    assert said(**milvus) == {}


def test_a_level_that_replicas_would_not_see_becomes_bounded() -> None:
    search = {"consistency_level": "Session"}
    assert taken(search=search).search.consistency_level == "Bounded"
    assert "Bounded is used" in said(search=search)["search.consistency_level"]


@pytest.mark.parametrize(
    ("collection", "path"),
    [
        ({"vector_field": {"dimension": 1024}}, "collection.vector_field.dimension"),
        ({"index": {"type": "IVF_FLAT"}}, "collection.index.type"),
    ],
)
def test_what_the_other_router_did_not_use_is_left_out(collection: dict[str, Any], path: str) -> None:
    settings = taken(collection=collection)
    assert settings.collection.vector_field.dimension == "auto"
    assert settings.collection.index.type == "HNSW"
    assert path in said(collection=collection)


def test_distances_become_cosines() -> None:
    collection = {"vector_field": {"metric_type": "L2"}}
    assert taken(collection=collection).collection.vector_field.metric_type == "COSINE"
    assert "COSINE is used" in said(collection=collection)["collection.vector_field.metric_type"]


def test_zero_is_the_default_as_it_is_there() -> None:
    milvus: dict[str, Any] = {
        "connection": {"host": "h", "timeout": 0},
        "collection": {
            "vector_field": {"dimension": 0},
            "index": {"params": {"M": 0, "efConstruction": 0}},
        },
        "search": {"params": {"ef": 0}},
    }
    assert taken(**milvus) == MilvusSettings.model_validate({"connection": {"host": "h"}})
    assert said(**milvus) == {}


def test_access_is_off_unless_it_is_switched_on() -> None:
    connection = {"host": "h", "auth": {"username": "u"}, "tls": {"ca_file": "ca.pem"}}
    found = taken(connection=connection).connection
    assert found.auth is not None
    assert found.tls is not None
    assert (found.auth.enabled, found.tls.enabled) == (False, False)
    assert said(connection=connection) == {}


def test_what_is_used_here_and_was_not_there_is_told() -> None:
    connection = {
        "host": "h",
        "database": "team",
        "auth": {"enabled": True, "username": "u"},
        "tls": {"enabled": True, "ca_file": "ca.pem"},
    }
    found = taken(connection=connection).connection
    assert found.database == "team"
    assert found.auth is not None
    assert (found.auth.enabled, found.auth.password_env) == (True, "MILVUS_PASSWORD")
    assert found.tls is not None
    assert found.tls.enabled
    told = said(connection=connection)
    assert told.keys() == {"connection.database", "connection.auth.enabled", "connection.tls.enabled"}
    assert all("had none there" in text for text in told.values())


def test_a_password_is_told_and_goes_nowhere() -> None:
    auth = {"enabled": True, "username": "u", "password": "hunter2"}
    keys = {"semantic_cache": cache(connection={"host": "h", "auth": auth})}
    assert warnings(**keys)[f"{INSIDE}.connection.auth.password"] == IN_THE_OPEN
    assert "hunter2" not in str(canonical(**keys))
    assert "hunter2" not in repr(settled(**keys))


def test_a_collection_is_never_dropped() -> None:
    told = said(development={"drop_collection_on_startup": True, "auto_create_collection": False})
    assert told.keys() == {
        "development.drop_collection_on_startup",
        "development.auto_create_collection",
    }
    document = canonical(semantic_cache=cache(development={"drop_collection_on_startup": True}))
    assert document["semantic_cache"]["milvus"] == {"connection": {"host": "h"}}


@pytest.mark.parametrize(
    ("milvus", "message"),
    [
        ({"connection": {"hots": "h"}}, "connection.hots: unknown key; did you mean `host`?"),
        ({"connection": {"host": "h", "auth": {"pasword": "p"}}}, "auth.pasword: unknown key; did you mean"),
        (
            {"performance": {"connection_pool": {"max_conections": 1}}},
            "performance.connection_pool.max_conections: unknown key; did you mean `max_connections`?",
        ),
        ({"performance": {"bach": {}}}, "performance.bach: unknown key; did you mean `batch`?"),
        (
            {"development": {"drop_colection_on_startup": True}},
            "development.drop_colection_on_startup: unknown key; did you mean `drop_collection_on_startup`?",
        ),
        ({"developement": {"verbose_errors": True}}, "developement: unknown key; did you mean `development`"),
        ({"logging": "info"}, "logging: must hold keys and values"),
        ({"collection": {"metric_type": "IP"}}, "collection.metric_type: stands in collection.vector_field"),
        ({"collection": {"index": {"params": {"M": 100}}}}, "collection.index.params.M: input should be les"),
        ({"search": {"consistency_level": "Weak"}}, "search.consistency_level: input should be 'Strong'"),
        ({"connection": {}}, "connection: give either `path` (embedded) or `host` (a server)"),
        (
            {"connection": {"host": "h", "auth": {"enabled": True}}},
            "connection.auth.username: is required; or set `enabled: false`",
        ),
        ({"collection": {"vector_field": {"name": "id"}}}, "collection.vector_field.name: 'id' is another"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_its_path(milvus: dict[str, Any], message: str) -> None:
    found = refused(semantic_cache=cache(**milvus))
    assert f"{INSIDE}.{message}" in found or message in found
    assert INSIDE in found


def test_a_folder_is_no_server() -> None:
    assert "semantic_cache.milvus names an embedded folder" in refused(
        categories=[], semantic_cache=cache(connection={"path": "data.db"})
    )


def test_milvus_is_idle_beside_memory_and_a_file_is_idle_beside_milvus() -> None:
    section = cache() | {"backend_config_path": "none.yaml"}
    assert "has no effect beside" in warnings(semantic_cache=section)["semantic_cache.backend_config_path"]
    section = cache() | {"backend_type": "memory"}
    assert "has no effect with backend_type memory" in warnings(semantic_cache=section)[INSIDE]
    assert canonical(semantic_cache=section)["semantic_cache"] == {"enabled": True, "backend_type": "memory"}


def test_neither_a_file_nor_milvus_is_a_mistake() -> None:
    message = refused(semantic_cache={"enabled": True, "backend_type": "hybrid"})
    assert (
        "semantic_cache.backend_config_path: is required with backend_type hybrid; or give semantic"
        in message
    )


def test_our_own_form_has_it_too_and_is_strict() -> None:
    pool = {name: {"preferred_endpoints": ["a"]} for name in OURS["model_config"]}
    own = OURS | {"model_config": pool, "reasoning_families": {}}
    loaded = settle(FILE, own | {"semantic_cache": cache(search={"topk": 3})})
    found = loaded.settings.semantic_cache.milvus
    assert (loaded.form, found is not None and found.search.topk) == (Form.CANONICAL, 3)
    with pytest.raises(ConfigError, match=r"search.consistency_level: session sees the writes of one"):
        settle(FILE, own | {"semantic_cache": cache(search={"consistency_level": "Session"})})
    with pytest.raises(ConfigError, match=r"connection.auth.password: a password does not stand in a file"):
        settle(FILE, own | {"semantic_cache": cache(connection={"host": "h", "auth": {"password": "x"}})})

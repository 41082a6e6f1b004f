"""Every key that `cache/milvus.yaml` may bring from anywhere is honoured, or refused by its name."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from router_extproc.base.errors import ConfigError
from router_extproc.settings.check_milvus import check_milvus
from router_extproc.settings.load import load_milvus
from router_extproc.settings.milvus_schema import MilvusSettings
from router_extproc.settings.refused import REFUSED


def read(folder: Path, text: str) -> MilvusSettings:
    path = folder / "milvus.yaml"
    path.write_text(text)
    settings = load_milvus(path)
    check_milvus(path, settings)
    return settings


def problem(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{folder / 'milvus.yaml'}: ")


def nested(path: str, value: object) -> str:
    """A file with a server and the key `path`."""
    raw: dict[str, Any] = {"connection": {"host": "h"}}
    node = raw
    *sections, last = path.split(".")
    for section in sections:
        node = node.setdefault(section, {})
    node[last] = value
    return yaml.safe_dump(raw)


@pytest.mark.parametrize("path", REFUSED)
def test_a_refused_key_is_named_with_the_reason_and_its_value_is_not_shown(tmp_path: Path, path: str) -> None:
    assert problem(tmp_path, nested(path, "hunter2")) == f"{path}: {REFUSED[path]}"


def test_every_key_of_the_file_that_other_routers_ship_is_honoured_or_named(tmp_path: Path) -> None:
    text = """
connection:
  host: localhost
  port: 19530
  database: cache
  timeout: 30
  auth: {enabled: false, username: "", password: ""}
  tls: {enabled: false, cert_file: "", key_file: "", ca_file: ""}
collection:
  name: semantic_cache
  description: answers
  vector_field: {name: embedding, dimension: 384, metric_type: IP}
  index: {type: HNSW, params: {M: 16, efConstruction: 64}}
search: {params: {ef: 64}, topk: 10, consistency_level: Bounded}
performance:
  connection_pool: {max_connections: 10, max_idle_connections: 5, acquire_timeout: 5}
  batch: {insert_batch_size: 1000, timeout: 30}
data_management:
  ttl: {enabled: true, timestamp_field: timestamp, cleanup_interval: 3600}
  compaction: {enabled: true, interval: 86400}
logging: {level: info, enable_query_log: false, enable_metrics: true}
development: {drop_collection_on_startup: true, auto_create_collection: true, verbose_errors: true}
"""
    message = problem(tmp_path, text)
    named = [
        "connection.auth.password",
        "performance.connection_pool",
        "performance.batch",
        "data_management.ttl",
        "data_management.compaction",
        "logging.level",
        "logging.enable_query_log",
        "logging.enable_metrics",
        "development.drop_collection_on_startup",
        "development.auto_create_collection",
        "development.verbose_errors",
    ]
    assert message == "; ".join(f"{path}: {REFUSED[path]}" for path in named)
    kept = text.replace(', password: ""', "").split("performance:")[0]
    settings = read(tmp_path, kept)
    assert settings.connection.auth is not None
    assert not settings.connection.auth.enabled
    assert settings.search.topk == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (nested("collection.index.type", "IVF_FLAT"), "collection.index.type: only HNSW: a flat index"),
        (
            nested("search.consistency_level", "Session"),
            "search.consistency_level: session sees the writes",
        ),
        (nested("search.consistency_level", "Weak"), "search.consistency_level: input should be 'Strong',"),
        (nested("search.topk", 0), "search.topk: input should be greater than or equal to 1"),
        (nested("search.params.ef", 0), "search.params.ef: input should be greater than or equal to 1"),
        (nested("search.params.nlist", 4), "search.params.nlist: unknown key; valid keys here are ef"),
        (nested("collection.index.params.M", 65), "collection.index.params.M: input should be less than"),
        (nested("collection.vector_field.metric_type", "L2"), "collection.vector_field.metric_type: input"),
        (nested("collection.vector_field.dimension", 0), "collection.vector_field.dimension"),
        (nested("collection.vector_field.name", "a b"), "collection.vector_field.name: string should match"),
        (nested("collection.vector_field.name", "model"), "collection.vector_field.name: 'model' is another"),
        (nested("collection.vector_field.name", "payload3"), "collection.vector_field.name: 'payload3' is"),
        (nested("collection.name", 'a"b'), "collection.name: string should match"),
        (nested("connection.timeout", 0), "connection.timeout: input should be greater than 0"),
        (nested("connection.database", ""), "connection.database: string should have at least 1"),
        (nested("connection.auth", {}), "connection.auth.username: is required; or set `enabled: false`"),
        (
            nested("connection.tls", {"ca_file": "a", "ca_pem_path": "b"}),
            "connection.tls.ca_file: is the same",
        ),
        (nested("connection.tls", {"cert_file": "a"}), "connection.tls: cert_file and key_file belong"),
        (
            nested("connection.tls", {"cert_file": "a", "key_file": "b"}),
            "connection.tls.ca_pem_path: is required with cert_file and key_file",
        ),
        ("connection: {path: a, tls: {ca_file: a}}", "connection.tls: only a server has it"),
        ("connection: {path: a, database: b}", "connection.database: only a server has it"),
    ],
)
def test_a_mistake_is_named_by_its_path(tmp_path: Path, text: str, message: str) -> None:
    assert problem(tmp_path, text).startswith(message)


def test_what_is_disabled_is_not_checked_and_may_stand_beside_a_folder(tmp_path: Path) -> None:
    read(tmp_path, "connection: {host: h, auth: {enabled: false}, tls: {enabled: false, cert_file: a}}")
    read(tmp_path, "connection: {path: a, auth: {enabled: false}, tls: {enabled: false}}")


@pytest.mark.parametrize("name", ["ca_file", "ca_pem_path"])
def test_both_names_of_the_authority_are_understood(tmp_path: Path, name: str) -> None:
    tls = read(tmp_path, nested("connection.tls", {name: "a"})).connection.tls
    assert tls is not None
    assert tls.authority == "a"


@pytest.mark.parametrize("dimension", ["auto", 384])
def test_a_dimension_is_a_number_or_auto(tmp_path: Path, dimension: object) -> None:
    settings = read(tmp_path, nested("collection.vector_field.dimension", dimension))
    assert settings.collection.vector_field.dimension == dimension

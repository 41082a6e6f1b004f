"""What the store is told of `cache/milvus.yaml`: every key that is honoured arrives."""

from pathlib import Path
from typing import Any

import pytest

from router_extproc.app.configuration import Configuration, load, milvus_options
from router_extproc.base.errors import ConfigError
from router_extproc.settings.milvus_schema import MilvusSettings
from router_extproc.stores.options import Credentials, MilvusOptions, Server, Tls

SHIPPED = Path(__file__).parents[3] / "config" / "router.yaml"
HERE = Path("/etc/router/milvus.yaml")


def options_of(**raw: Any) -> MilvusOptions:
    milvus = MilvusSettings.model_validate({"connection": {"host": "h"}} | raw)
    configuration = Configuration(SHIPPED, load(SHIPPED).settings, milvus, HERE)
    options = milvus_options(configuration, encoder="e1", dimension=384)
    assert options is not None
    return options


def server_of(**connection: Any) -> Server:
    target = options_of(connection={"host": "h", **connection}).target
    assert isinstance(target, Server)
    return target


@pytest.mark.parametrize(
    ("section", "raw", "name", "value"),
    [
        ("collection", {"name": "mine"}, "collection", "mine"),
        ("collection", {"description": "answers"}, "description", "answers"),
        ("collection", {"vector_field": {"name": "meaning"}}, "vector_field", "meaning"),
        ("collection", {"vector_field": {"metric_type": "IP"}}, "metric", "IP"),
        ("collection", {"vector_field": {"dimension": 384}}, "dimension", 384),
        ("collection", {"vector_field": {"dimension": "auto"}}, "dimension", 384),
        ("collection", {"index": {"params": {"M": 24}}}, "m", 24),
        ("collection", {"index": {"params": {"efConstruction": 96}}}, "ef_construction", 96),
        ("search", {"params": {"ef": 100}}, "ef", 100),
        ("search", {"topk": 3}, "top_k", 3),
        ("search", {}, "top_k", None),
        ("search", {"consistency_level": "Eventually"}, "consistency", "Eventually"),
        ("connection", {"host": "h", "timeout": 3}, "timeout", 3),
    ],
)
def test_a_key_arrives(section: str, raw: dict[str, Any], name: str, value: object) -> None:
    assert getattr(options_of(**{section: raw}), name) == value


@pytest.mark.parametrize("name", ["port", "database"])
def test_a_key_of_the_connection_arrives(name: str) -> None:
    value: object = {"port": 19531, "database": "team_a"}[name]
    assert getattr(server_of(**{name: value}), name) == value


def test_a_dimension_that_is_not_the_encoder_s_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"vector_field.dimension: the encoder makes vectors of 384"):
        options_of(collection={"vector_field": {"dimension": 768}})


def test_authentication_that_is_disabled_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    auth = {"username": "u", "password_env": "SECRET"}
    assert server_of(auth=auth).credentials == Credentials("u", "hunter2")
    assert server_of(auth={**auth, "enabled": False}).credentials is None


def test_tls_that_is_disabled_is_none_and_paths_are_relative_to_the_file() -> None:
    tls = {"ca_file": "ca.pem", "server_name": "s", "cert_file": "/abs/c.pem", "key_file": "k.pem"}
    folder = Path("/etc/router")
    assert server_of(tls=tls).tls == Tls(folder / "ca.pem", "s", Path("/abs/c.pem"), folder / "k.pem")
    assert server_of(tls={**tls, "enabled": False}).tls is None
    assert server_of(tls={}).tls == Tls()

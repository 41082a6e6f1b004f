"""Settings become what each part is told."""

from pathlib import Path

import pytest

from router_extproc.app.configuration import (
    Configuration,
    listening,
    load,
    milvus_options,
    simulated_models,
    topology_of,
)
from router_extproc.base.errors import ConfigError
from router_extproc.envoyconf.topology import Endpoint, HostPort
from router_extproc.settings.schema import MilvusSettings
from router_extproc.stores.options import Credentials, Embedded, Server, Tls
from tests.support.stack import ROOT

SHIPPED = ROOT / "config" / "router.yaml"


def test_envoy_s_topology_has_every_model_and_the_limits() -> None:
    topology = topology_of(load(SHIPPED).settings)
    assert topology.listener == HostPort("127.0.0.1", 8801)
    assert topology.ext_proc == HostPort("127.0.0.1", 50051)
    assert topology.models["qwen3-32b"] == (Endpoint("127.0.0.1", 9003, 1),)
    assert topology.default_model == "qwen3-8b"
    assert topology.max_body_bytes == 16 * 1024 * 1024


def test_the_default_model_answers_to_the_aliases_while_the_router_is_away() -> None:
    by_name = {model.name: model for model in simulated_models(load(SHIPPED))}
    assert by_name["qwen3-8b"].aliases == ("auto", "MoM")
    assert by_name["qwen3-0.6b"].aliases == ()
    assert by_name["qwen3-32b"].time_to_first_token == 0.15
    assert by_name["qwen3-32b"].tokens_per_second == 45


def test_the_embedded_store_s_folder_is_relative_to_its_file() -> None:
    options = milvus_options(load(SHIPPED), encoder="e1", dimension=384)
    assert options is not None
    assert options.target == Embedded((ROOT / ".data" / "milvus.db").resolve())
    assert (options.dimension, options.m, options.ef_construction, options.ef) == (384, 16, 64, 64)
    assert (options.consistency, options.timeout) == ("Bounded", 10.0)
    # Inside the lookup's budget of 50 ms, so that a hanging store leaves time for the answer from memory.
    assert options.call_timeout == pytest.approx(0.04)


def server(connection: dict[str, object]) -> Configuration:
    shipped = load(SHIPPED)
    milvus = MilvusSettings.model_validate({"connection": connection})
    return Configuration(SHIPPED, shipped.settings, milvus, Path("/etc/router/milvus.yaml"))


def test_a_server_s_password_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = server(
        {
            "host": "milvus",
            "port": 19531,
            "database": "d",
            "auth": {"username": "root", "password_env": "A_PASSWORD"},
            "tls": {"ca_pem_path": "ca.pem", "server_name": "milvus.internal"},
        }
    )
    with pytest.raises(ConfigError, match="environment variable A_PASSWORD is not set"):
        milvus_options(configuration, encoder="e1", dimension=384)
    monkeypatch.setenv("A_PASSWORD", "secret")
    options = milvus_options(configuration, encoder="e1", dimension=384)
    assert options is not None
    assert options.target == Server(
        "milvus",
        19531,
        "d",
        Credentials("root", "secret"),
        Tls(Path("/etc/router/ca.pem"), "milvus.internal"),
    )
    assert "secret" not in repr(options)


def test_a_disabled_cache_needs_no_store(tmp_path: Path) -> None:
    path = tmp_path / "router.yaml"
    path.write_text(SHIPPED.read_text().replace("  enabled: true", "  enabled: false"))
    assert milvus_options(load(path), encoder="e1", dimension=384) is None


def test_every_address_of_the_router_is_known_by_its_key() -> None:
    assert listening(load(SHIPPED)) == {
        "listeners.ext_proc": ("127.0.0.1", 50051),
        "listeners.api": ("127.0.0.1", 8080),
        "listeners.metrics": ("127.0.0.1", 9190),
    }

"""Settings become what each part is told."""

import re
from pathlib import Path

import pytest

from router_extproc.app.configuration import (
    Configuration,
    listened,
    listening,
    load,
    milvus_options,
    process_of,
    require_secrets,
    simulated_models,
    topology_of,
)
from router_extproc.base.errors import ConfigError
from router_extproc.envoyconf.topology import (
    Endpoint,
    HealthCheck,
    HostPort,
    KeyFromEnvironment,
    KeyFromFile,
    Model,
    UnixPath,
    Upstream,
)
from router_extproc.envoyconf.topology import Tls as EnvoyTls
from router_extproc.settings.milvus_schema import MilvusSettings
from router_extproc.stores.options import Credentials, Embedded, Server, Tls
from tests.support.stack import ROOT

SHIPPED = ROOT / "config" / "router.yaml"


def test_envoy_s_topology_has_every_model_and_the_limits() -> None:
    topology = topology_of(load(SHIPPED))
    assert topology.listener == HostPort("127.0.0.1", 8801)
    assert topology.ext_proc == HostPort("127.0.0.1", 50051)
    assert topology.models["qwen3-32b"] == Model((Endpoint("127.0.0.1", 9003, 1),))
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


@pytest.mark.parametrize(("path", "socket"), [("run/r", "{}/run/r"), ("/run/r", "/run/r")])
def test_the_router_and_envoy_meet_at_a_unix_socket(tmp_path: Path, path: str, socket: str) -> None:
    file, expected = tmp_path / "router.yaml", socket.format(tmp_path)
    text = SHIPPED.read_text().replace("{address: 127.0.0.1, port: 50051}", f"{{path: {path}}}")
    file.write_text(text.replace("hybrid", "memory").replace("  backend_config_path", "  # "))
    configuration = load(file)
    assert topology_of(configuration).ext_proc == UnixPath(expected)
    assert listened(process_of(configuration)) == f"unix:{expected}"
    assert "listeners.ext_proc" not in listening(configuration)


def test_the_router_s_address_is_told_as_grpc_writes_it() -> None:
    assert listened(HostPort("::1", 50051)) == "[::1]:50051"
    assert listened(process_of(load(SHIPPED))) == "127.0.0.1:50051"


def test_a_model_s_waits_are_its_own_then_those_of_all_then_the_defaults(tmp_path: Path) -> None:
    shared = "upstream: {idle_timeout_seconds: 120, request_timeout_seconds: 300}\n"
    own = "upstream: {connect_timeout_seconds: 0.5, idle_timeout_seconds: 1800, retries: 0}"
    text = PROVIDERS.replace("[near, plain], ", f"[near, plain], {own}, ")
    models = topology_of(providers(tmp_path, text)).models
    assert models["own"].upstream == Upstream(0.5, 1800, None, 0)
    assert models["other"].upstream == Upstream()
    models = topology_of(providers(tmp_path, text + shared)).models
    assert models["own"].upstream == Upstream(0.5, 1800, 300, 0)
    assert models["other"].upstream == Upstream(None, 120, 300, 2)


@pytest.mark.parametrize(
    ("upstream", "path"),
    [
        ("{connect_timeout_seconds: 0}", "upstream.connect_timeout_seconds: input should be greater"),
        ("{retries: 11}", "upstream.retries: input should be less"),
        ("{idle_timeout: 3}", "upstream.idle_timeout: unknown key; did you mean `idle_timeout_seconds`?"),
    ],
)
def test_a_wait_that_cannot_be_is_refused(tmp_path: Path, upstream: str, path: str) -> None:
    with pytest.raises(ConfigError, match=f": {re.escape(path)}"):
        providers(tmp_path, f"{PROVIDERS}upstream: {upstream}\n")
    text = PROVIDERS.replace("[near, plain], ", f"[near, plain], upstream: {upstream}, ")
    with pytest.raises(ConfigError, match=f": model_config.own.{re.escape(path)}"):
        providers(tmp_path, text)


def test_milvus_may_stand_in_the_configuration_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MILVUS_PASSWORD", raising=False)
    milvus = (
        "semantic_cache: {backend_type: milvus, milvus: {connection: {host: h, auth: {username: u}, "
        "tls: {ca_file: ca.pem}}}}\n"
    )
    configuration = providers(tmp_path, PROVIDERS + milvus)
    assert configuration.milvus_path == configuration.path
    place = f"{tmp_path / 'router.yaml'}: semantic_cache.milvus.connection.auth.password_env: the environment"
    with pytest.raises(ConfigError, match=re.escape(place)):
        milvus_options(configuration, encoder="e1", dimension=384)
    monkeypatch.setenv("MILVUS_PASSWORD", "secret")
    options = milvus_options(configuration, encoder="e1", dimension=384)
    assert options is not None
    assert isinstance(options.target, Server)
    assert options.target.tls == Tls(tmp_path / "ca.pem")
    off = milvus.replace("{backend_type", "{enabled: false, backend_type")
    assert providers(tmp_path, PROVIDERS + off).milvus is None


PROVIDERS = """
vllm_endpoints:
  - {name: near, address: 127.0.0.1, port: 9001, weight: 3}
  - name: far
    address: api.example.com
    port: 443
    tls: {ca_file: ca.pem}
    path_prefix: /openai/v1
  - {name: front, address: 10.0.0.1, port: 443, tls: {server_name: api.example.com}}
  - {name: plain, address: 10.0.0.1, port: 80, tls: {enabled: false}}
model_config:
  own: {preferred_endpoints: [near, plain], health_check: {path: /ready, interval_seconds: 1}}
  hosted: {preferred_endpoints: [far], api_key: {file: keys/hosted}}
  other: {preferred_endpoints: [front], api_key: {env: A_PROVIDERS_KEY}}
default_model: own
"""


def providers(folder: Path, text: str = PROVIDERS) -> Configuration:
    path = folder / "router.yaml"
    path.write_text(text)
    return load(path)


def test_providers_become_what_envoy_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/system.pem")
    models = topology_of(providers(tmp_path)).models
    assert models["own"] == Model(
        (Endpoint("127.0.0.1", 9001, 3), Endpoint("10.0.0.1", 80)), health_check=HealthCheck("/ready", 1, 2)
    )
    assert models["hosted"] == Model(
        (Endpoint("api.example.com", 443, tls=EnvoyTls(str(tmp_path / "ca.pem"), "api.example.com")),),
        "/openai/v1",
        KeyFromFile(str(tmp_path / "keys" / "hosted")),
    )
    assert models["other"] == Model(
        (Endpoint("10.0.0.1", 443, tls=EnvoyTls("/system.pem", "api.example.com")),),
        api_key=KeyFromEnvironment("A_PROVIDERS_KEY"),
    )


def test_a_link_to_a_key_stays_a_link(tmp_path: Path) -> None:
    """Where secrets are mounted, exchanging the link exchanges the secret."""
    (tmp_path / "real").mkdir()
    (tmp_path / "keys").symlink_to("real")
    key = topology_of(providers(tmp_path)).models["hosted"].api_key
    assert key == KeyFromFile(str(tmp_path / "keys" / "hosted"))


def test_one_model_has_one_path_prefix(tmp_path: Path) -> None:
    mixed = PROVIDERS.replace("preferred_endpoints: [far]", "preferred_endpoints: [far, near]")
    with pytest.raises(ConfigError, match=r"model_config\.hosted\.preferred_endpoints: have different"):
        topology_of(providers(tmp_path, mixed))


def test_every_missing_secret_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A_PROVIDERS_KEY", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "router.yaml"))
    configuration = providers(tmp_path)
    with pytest.raises(ConfigError) as caught:
        require_secrets(configuration)
    for problem in (
        "model_config.hosted.api_key.file: keys/hosted is no file",
        "model_config.other.api_key.env: the environment variable A_PROVIDERS_KEY is not set",
        f"vllm_endpoints[1].tls.ca_file: {tmp_path}/ca.pem is no file",
    ):
        assert problem in str(caught.value)
    monkeypatch.setenv("A_PROVIDERS_KEY", "sk-secret")
    (tmp_path / "keys").mkdir()
    for name in ("keys/hosted", "ca.pem"):
        (tmp_path / name).write_text("x")
    require_secrets(configuration)

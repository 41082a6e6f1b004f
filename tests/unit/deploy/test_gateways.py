"""What the gateways are told is what our own Envoy is told, and what cannot be told stops the writing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.kubernetes import envoy_gateway, generate, istio
from deploy.kubernetes.rendered import Envoy, Service, fails_open, read
from router_extproc.base.errors import ConfigError
from router_extproc.base.names import DESTINATIONS, INTERNAL, SELECTED_MODEL
from tests.support.kustomize import Object
from tests.support.manifests import KUSTOMIZE, one, overlay

BASE = KUSTOMIZE / "base" / "router.yaml"


@pytest.fixture(scope="module")
def envoy() -> Envoy:
    return read(BASE)


def test_envoy_gateway_sends_the_router_what_our_envoy_sends(envoy: Envoy) -> None:
    (told,) = one(overlay("envoy-gateway"), "EnvoyExtensionPolicy")["spec"]["extProc"]
    mode = envoy.processor["processing_mode"]
    assert told["processingMode"]["request"] == {"body": "Buffered"}
    assert mode["request_body_mode"] == "BUFFERED"
    # Headers only, until the router asks for the body of this one answer.
    assert told["processingMode"]["response"] == {}
    assert "response_body_mode" not in mode
    assert told["processingMode"]["allowModeOverride"] is envoy.processor["allow_mode_override"] is True
    assert told["failOpen"] is envoy.processor["failure_mode_allow"] is True
    assert told["messageTimeout"] == envoy.processor["message_timeout"] == "5s"


def test_headers_of_ours_are_removed_before_a_route_is_chosen() -> None:
    headers = one(overlay("envoy-gateway"), "ClientTrafficPolicy", "llm")["spec"]["headers"]
    assert headers["earlyRequestHeaders"]["remove"] == [*INTERNAL, *DESTINATIONS]
    merged = one(overlay("istio"), "EnvoyFilter")["spec"]["configPatches"][1]["patch"]["value"][
        "typed_config"
    ]
    assert envoy_gateway.stripped(merged) == [*INTERNAL, *DESTINATIONS]


def test_istio_s_filter_is_ours_but_for_the_name_of_the_cluster(envoy: Envoy) -> None:
    patches = one(overlay("istio"), "EnvoyFilter")["spec"]["configPatches"]
    processor = patches[0]["patch"]["value"]["typed_config"]
    assert processor["grpc_service"].pop("envoy_grpc") == {
        "cluster_name": "outbound|50051||router-extproc.router-extproc.svc.cluster.local"
    }
    ours = {**envoy.processor, "grpc_service": {}}
    assert processor == ours
    manager = patches[1]["patch"]["value"]["typed_config"]
    assert manager == {key: envoy.manager[key] for key in manager}
    assert {*manager, *istio.ISTIO_S} >= envoy.manager.keys()


@pytest.mark.parametrize("mode", ["envoy-gateway", "istio"])
def test_every_model_has_a_route_by_the_header_and_the_default_one_has_none(mode: str, envoy: Envoy) -> None:
    if mode == "istio":
        rules = one(overlay(mode), "VirtualService")["spec"]["http"]
        told = {rule["match"][0]["headers"][SELECTED_MODEL]["exact"] for rule in rules[:-1]}
        assert "match" not in rules[-1]
        default = rules[-1]["route"][0]["destination"]["host"]
    else:
        routes = [each["spec"]["rules"][0] for each in overlay(mode) if each["kind"] == "HTTPRoute"]
        matches = [rule["matches"][0]["headers"][0] for rule in routes if "matches" in rule]
        told = {
            each["value"] for each in matches if (each["name"], each["type"]) == (SELECTED_MODEL, "Exact")
        }
        (last,) = (rule["backendRefs"][0] for rule in routes if "matches" not in rule)
        default = f"{last['name']}.{last['namespace']}.svc.cluster.local"
    assert told == envoy.services.keys()
    assert default == envoy.services[envoy.default_model][0].host


def test_a_field_that_nobody_looked_at_stops_the_writing(envoy: Envoy) -> None:
    new = replace(envoy, processor={**envoy.processor, "observability_mode": True})
    with pytest.raises(ValueError, match="observability_mode"):
        envoy_gateway.extension_policy(new)
    with pytest.raises(ValueError, match="xff_num_trusted_hops"):
        istio.envoy_filter(replace(envoy, manager={**envoy.manager, "xff_num_trusted_hops": 1}))


def test_a_mode_that_envoy_gateway_has_no_word_for_stops_the_writing(envoy: Envoy) -> None:
    mode = {**envoy.processor["processing_mode"], "request_trailer_mode": "SEND"}
    with pytest.raises(ValueError, match="modes of the request"):
        envoy_gateway.extension_policy(replace(envoy, processor={**envoy.processor, "processing_mode": mode}))


def closed_route() -> Object:
    return {"typed_per_filter_config": {"any": {"overrides": {"failure_mode_allow": False}}}}


@pytest.mark.parametrize(
    ("filter_allows", "routes", "expected"),
    [(True, [{}], True), (False, [{}], False), (True, [{}, closed_route()], False)],
)
def test_one_closed_route_closes_all(filter_allows: bool, routes: list[Object], expected: bool) -> None:
    assert fails_open({"failure_mode_allow": filter_allows}, routes) is expected


def test_a_closed_route_closes_both_gateways(envoy: Envoy) -> None:
    strict = replace(envoy, fails_open=False)
    assert envoy_gateway.extension_policy(strict)["spec"]["extProc"][0]["failOpen"] is False
    patch = istio.envoy_filter(strict)["spec"]["configPatches"][0]["patch"]
    assert patch["value"]["typed_config"]["failure_mode_allow"] is False


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("vllm-qwen3-8b.models.svc.cluster.local,  ", "vllm-qwen3-8b.models, ", "needs a Service"),
        ("vllm-qwen3-8b.models.svc.cluster.local,  ", "10.0.0.1, ", "needs a Service"),
        ("port: 8000}\n\nmodel", "port: 443, tls: {}}\n\nmodel", "tls"),
        ("[medium],", "[medium], api_key: {env: KEY},", "api_key"),
        ("backend_type: hybrid", "backend_type: hybrid\n  scope: header:x-tenant", "by hand"),
    ],
)
def test_what_a_gateway_cannot_be_told_is_refused(tmp_path: Path, old: str, new: str, problem: str) -> None:
    text = BASE.read_text()
    assert old in text
    (tmp_path / "router.yaml").write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=problem):
        read(tmp_path / "router.yaml")


@pytest.mark.parametrize(
    ("seconds", "expected"), [("0s", "0s"), ("0.250s", "250ms"), ("600s", "600s"), ("1.5s", "1500ms")]
)
def test_durations_are_written_as_gateway_api_reads_them(seconds: str, expected: str) -> None:
    assert envoy_gateway.duration(seconds) == expected


@pytest.mark.parametrize(("size", "expected"), [(17 * 1024 * 1024, "17Mi"), (1025, "1025")])
def test_sizes_are_written_as_kubernetes_reads_them(size: int, expected: str) -> None:
    assert envoy_gateway.quantity(size) == expected


@pytest.mark.parametrize(
    ("model", "expected"), [("qwen3-0.6b", "model-qwen3-0-6b"), ("Org/Name:7B_x.", "model-org-name-7b-x")]
)
def test_a_model_s_name_becomes_a_name_of_kubernetes(model: str, expected: str) -> None:
    assert envoy_gateway.route_name(model) == expected


def test_models_that_never_try_again_are_told_so(envoy: Envoy) -> None:
    action: dict[str, Any] = {**envoy.routes["qwen3-8b"]["route"]}
    del action["retry_policy"]
    still = replace(envoy, routes={**envoy.routes, "qwen3-8b": {"route": action}})
    policies = [each for each in envoy_gateway.resources(still) if each["kind"] == "BackendTrafficPolicy"]
    assert "retry" not in one(policies, "BackendTrafficPolicy", "model-qwen3-8b")["spec"]
    rules = {each["name"]: each for each in istio.virtual_service(still)["spec"]["http"]}
    assert rules["model-qwen3-8b"]["retries"] == {"attempts": 0}


def test_istio_is_given_one_service_a_model(envoy: Envoy) -> None:
    servers = (Service("a", "models", 1, 1), Service("b", "models", 1, 1))
    with pytest.raises(ValueError, match="several Services"):
        istio.resources(replace(envoy, services={**envoy.services, "qwen3-8b": servers}))


def test_what_is_not_current_is_told_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sub" / "generated.yaml"

    def run(*arguments: str) -> int:
        return generate.main(arguments, lambda: [(file, "new")])

    assert run("--check") == 1
    assert "generated.yaml is not current" in capsys.readouterr().err
    assert run() == 0
    assert file.read_text() == "new"
    assert run("--check") == 0


def test_the_files_that_are_written_say_so() -> None:
    path = KUSTOMIZE / "overlays" / "istio" / "generated.yaml"
    assert path.read_text().startswith(generate.HEADER)
    assert len(list(yaml.safe_load_all(path.read_text()))) == 6

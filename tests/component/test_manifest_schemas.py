"""The manifests against the schemas that a cluster has, of its own kinds and of the gateways'."""

import copy
import json
from functools import cache
from typing import Any

import pytest

from tests.support.kustomize import Object, build
from tests.support.manifests import KUSTOMIZE, MODES, chart, one, overlay
from tests.support.schemas import (
    KUBERNETES,
    OLDEST,
    complaints_of_definitions,
    complaints_of_kubernetes,
    is_custom,
)


def everything() -> list[Object]:
    """Every object that any overlay, component or form of the chart makes, each once."""
    made = [each for mode in MODES for each in (*overlay(mode), *chart(mode))]
    made += build(KUSTOMIZE / "base")
    shared = chart(
        "envoy-gateway", config={"model_config": {"qwen3-8b": {"preferred_endpoints": ["small", "medium"]}}}
    )
    distinct = {json.dumps(each, sort_keys=True): each for each in (*made, *shared)}
    return list(distinct.values())


def changed(mode: str, kind: str, path: str, value: Any, name: str = "router-extproc") -> Object:
    """An object with `value` at `path`, whose parts are separated by dots."""
    wrong = copy.deepcopy(one(overlay(mode), kind, name))
    *parents, last = path.split(".")
    inside: Any = wrong
    for part in parents:
        inside = inside[int(part)] if isinstance(inside, list) else inside[part]
    inside[last] = value
    return wrong


EXTENSION = "spec.extProc.0"
MISSPELT = {
    "failopen": changed("envoy-gateway", "EnvoyExtensionPolicy", f"{EXTENSION}.failopen", True),
    "modeOverride": changed(
        "envoy-gateway", "EnvoyExtensionPolicy", f"{EXTENSION}.processingMode.modeOverride", True
    ),
    "body": changed(
        "envoy-gateway", "EnvoyExtensionPolicy", f"{EXTENSION}.processingMode.request.body", "BUFFERED"
    ),
    "messageTimeout": changed("envoy-gateway", "EnvoyExtensionPolicy", f"{EXTENSION}.messageTimeout", "5 s"),
    "earlyHeaders": changed(
        "envoy-gateway", "ClientTrafficPolicy", "spec.headers.earlyHeaders", {"remove": ["x"]}, "llm"
    ),
    "requestTimeOut": changed(
        "envoy-gateway", "BackendTrafficPolicy", "spec.timeout.http.requestTimeOut", "0s", "default"
    ),
    "backends": changed("envoy-gateway", "HTTPRoute", "spec.rules.0.backends", [], "default"),
    "INSERT_AHEAD": changed("istio", "EnvoyFilter", "spec.configPatches.0.patch.operation", "INSERT_AHEAD"),
    "applyto": changed("istio", "EnvoyFilter", "spec.configPatches.0.applyto", "HTTP_FILTER"),
    "retry": changed("istio", "VirtualService", "spec.http.0.retry", {"attempts": 0}),
    "maxRequests": changed(
        "istio", "DestinationRule", "spec.trafficPolicy.connectionPool.http.maxRequests", 1
    ),
}


@cache
def answers() -> tuple[list[tuple[Object, list[str]]], dict[str, list[str]]]:
    """About the manifests, and about those with a fault: asked together, because asking takes seconds."""
    right = [each for each in everything() if is_custom(each)]
    found = complaints_of_definitions([*right, *MISSPELT.values()])
    return list(zip(right, found, strict=False)), dict(zip(MISSPELT, found[len(right) :], strict=True))


def test_every_object_of_a_gateway_is_as_its_definition_says() -> None:
    right, _ = answers()
    kinds = {each["kind"] for each, _ in right}
    assert kinds == {
        "BackendTrafficPolicy", "ClientTrafficPolicy", "DestinationRule", "EnvoyExtensionPolicy",
        "EnvoyFilter", "Gateway", "GatewayClass", "HTTPRoute", "ReferenceGrant", "VirtualService",
    }  # fmt: skip
    assert [(each["kind"], each["metadata"]["name"], told) for each, told in right if told] == []


@pytest.mark.parametrize("fault", MISSPELT)
def test_a_misspelt_field_or_word_of_a_gateway_is_found(fault: str) -> None:
    (told, *_) = answers()[1][fault]
    assert fault in told or "must" in told or "not assignable" in told


@pytest.mark.parametrize("version", [KUBERNETES, OLDEST])
def test_every_object_of_kubernetes_is_as_its_schema_says(version: str) -> None:
    own = [each for each in everything() if not is_custom(each)]
    assert {each["kind"] for each in own} == {
        "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "Namespace", "NetworkPolicy",
        "PodDisruptionBudget", "Service", "ServiceAccount",
    }  # fmt: skip
    told = {each["kind"]: complaints_of_kubernetes(each, version) for each in own}
    assert {kind: each for kind, each in told.items() if each} == {}


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", "spec.template.spec.containers.0.readinesProbe", {}),
        ("Deployment", "spec.template.spec.containers.0.lifecycle.preStop.sleep", {"second": 5}),
        ("Deployment", "spec.template.spec.terminationGracePeriodSeconds", "60"),
        ("HorizontalPodAutoscaler", "spec.metrics.0.containerResource.target.averageUtilisation", 70),
        ("NetworkPolicy", "spec.ingres", []),
        ("PodDisruptionBudget", "spec.maxUnavailble", 1),
    ],
)
def test_a_misspelt_field_of_kubernetes_is_found(kind: str, path: str, value: Any) -> None:
    assert complaints_of_kubernetes(changed("envoy-gateway", kind, path, value)) != []

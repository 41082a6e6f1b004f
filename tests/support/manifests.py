"""The manifests under `deploy`, as a cluster would be given them."""

import copy
from functools import cache
from pathlib import Path
from typing import Any, Final

import helm_python
import yaml

from tests.support.kustomize import Key, Object, build, key_of
from tests.support.stack import ROOT

KUSTOMIZE: Final = ROOT / "deploy" / "kubernetes"
CHART: Final = ROOT / "deploy" / "helm" / "router-extproc"
NAME: Final = "router-extproc"
MODES: Final = ("envoy-gateway", "istio", "sidecar")


def overlay(mode: str) -> list[Object]:
    """A copy; the building is done once."""
    return copy.deepcopy(_overlay(KUSTOMIZE / "overlays" / mode))


@cache
def _overlay(folder: Path) -> list[Object]:
    return build(folder)


def chart(mode: str, **values: Any) -> list[Object]:
    """What Helm's own engine renders. Raises helm_python.HelmError."""
    with helm_python.Chart.load(str(CHART)) as loaded:
        # As `helm install` does before it renders.
        loaded.validate_schema(loaded.merge_values({"mode": mode, **values}))
        texts = loaded.render({"mode": mode, **values}, name=NAME, namespace=NAME)
    documents = (yaml.safe_load_all(text) for name, text in sorted(texts.items()) if name.endswith(".yaml"))
    return [each for listed in documents for each in listed if each]


def by_key(objects: list[Object]) -> dict[Key, Object]:
    found = {key_of(each): each for each in objects}
    assert len(found) == len(objects), "two objects of one name"
    return found


def one(objects: list[Object], kind: str, name: str = NAME) -> Object:
    (found,) = (each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def all_of(objects: list[Object], kind: str) -> list[Object]:
    return [each for each in objects if each["kind"] == kind]


def pod(objects: list[Object]) -> Object:
    """The Deployment's Pod."""
    found: Object = one(objects, "Deployment")["spec"]["template"]["spec"]
    return found


def container(objects: list[Object], name: str) -> Object:
    listed: list[Object] = [*pod(objects).get("initContainers", ()), *pod(objects)["containers"]]
    (found,) = (each for each in listed if each["name"] == name)
    return found

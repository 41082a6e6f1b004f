"""What stands in for Kustomize builds what Kustomize built, and refuses what it does not know."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.kustomize import Object, build, key_of
from tests.support.manifests import KUSTOMIZE, MODES

RECORDED = Path(__file__).parents[2] / "support" / "recorded" / "kustomize"


def ordered(objects: list[Object]) -> list[Object]:
    return sorted(objects, key=key_of)


def test_it_builds_what_kustomize_built() -> None:
    recorded = list(yaml.safe_load_all((RECORDED / "built.yaml").read_text()))
    assert ordered(build(RECORDED / "over")) == ordered(recorded)


def test_it_builds_the_overlays_as_kubectl_does_where_there_is_one() -> None:
    """Here the recorded tree proves the builder; on a machine with kubectl the product's own trees do too."""
    kubectl = shutil.which("kubectl")
    for folder in (KUSTOMIZE / "overlays" / mode for mode in MODES if kubectl is not None):
        told = subprocess.run(
            [str(kubectl), "kustomize", folder], capture_output=True, check=True, timeout=60
        )
        assert ordered(build(folder)) == ordered(list(yaml.safe_load_all(told.stdout)))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("namespace: other", "does not read namespace"),
        ("configMapGenerator: [{name: c, namespace: ns, literals: [a=b]}]", "does not read literals"),
        ("configMapGenerator: [{name: c, namespace: ns, behavior: replace, files: []}]", "does not fit"),
        ("patches: [{patch: '[]', target: {kind: Service}}]", "patches by their path"),
        ("patches: [{path: other.yaml}]", "there is no"),
        ("resources: [one.yaml, one.yaml]", "is there twice"),
    ],
)
def test_what_it_does_not_read_is_an_error(tmp_path: Path, line: str, problem: str) -> None:
    (tmp_path / "one.yaml").write_text("{apiVersion: v1, kind: Service, metadata: {name: one}}")
    (tmp_path / "other.yaml").write_text("{apiVersion: v1, kind: Service, metadata: {name: other}}")
    rest = "" if line.startswith("resources") else "resources: [one.yaml]\n"
    (tmp_path / "kustomization.yaml").write_text(f"kind: Kustomization\n{rest}{line}\n")
    with pytest.raises(ValueError, match=problem):
        build(tmp_path)

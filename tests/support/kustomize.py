"""Builds a kustomization as Kustomize does, for the part of its language that `deploy/kubernetes` uses.

Kustomize itself comes from no package index. Whatever a kustomization says that is not read here is an error,
never left out. What Kustomize makes of a small tree with everything that is read is recorded in
`recorded/kustomize`, and the same tree built here has to be equal; where `kubectl` is at hand, the product's
overlays are built by both.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

Object = dict[str, Any]
Key = tuple[str, str, str, str]
"""apiVersion, kind, namespace and name."""

READ: Final = frozenset({"apiVersion", "kind", "resources", "components", "patches", "configMapGenerator"})

MERGE_KEYS: Final[Mapping[str, str]] = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
}
"""By which elements of a list are the same one (the `patchMergeKey` of Kubernetes' API). Others are replaced
as a whole, but for `ports`, whose key depends on what they belong to."""

HASH_LETTERS: Final = str.maketrans("013ae", "ghkmt")
"""So that a digest spells no word."""


def build(folder: Path) -> list[Object]:
    """The objects of the kustomization in `folder`. Raises ValueError for what is not read here."""
    objects: dict[Key, Object] = {}
    hashed: dict[str, str] = {}
    _accumulate(folder, objects, hashed)
    return [_renamed(each, hashed) for each in objects.values()]


def _accumulate(folder: Path, objects: dict[Key, Object], hashed: dict[str, str]) -> None:
    said = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if unread := sorted(said.keys() - READ):
        raise ValueError(f"{folder}: this builder does not read {', '.join(unread)}")
    for name in said.get("resources", ()):
        if (folder / name).is_dir():
            _accumulate(folder / name, objects, hashed)
        else:
            for each in yaml.safe_load_all((folder / name).read_text()):
                if key_of(each) in objects:
                    raise ValueError(f"{folder / name}: {key_of(each)} is there twice")
                objects[key_of(each)] = each
    for name in said.get("components", ()):
        _accumulate(folder / name, objects, hashed)
    for maker in said.get("configMapGenerator", ()):
        _generate(folder, maker, objects, hashed)
    for patch in said.get("patches", ()):
        _patch(folder, patch, objects)


def key_of(each: Object) -> Key:
    metadata = each["metadata"]
    return each["apiVersion"], each["kind"], metadata.get("namespace", ""), metadata["name"]


def _generate(folder: Path, maker: Object, objects: dict[Key, Object], hashed: dict[str, str]) -> None:
    options = maker.get("options", {})
    if unread := (maker.keys() - {"name", "namespace", "behavior", "files", "options"}) | (
        options.keys() - {"disableNameSuffixHash"}
    ):
        raise ValueError(f"{folder}: this builder does not read {', '.join(sorted(unread))}")
    data = {Path(name).name: (folder / name).read_text() for name in maker["files"]}
    metadata = {"name": maker["name"], "namespace": maker["namespace"]}
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    behavior = maker.get("behavior", "create")
    if (key_of(made) in objects) != (behavior == "replace"):
        raise ValueError(f"{folder}: {maker['name']}: {behavior} does not fit what is there")
    objects[key_of(made)] = made
    if not options.get("disableNameSuffixHash"):
        hashed[maker["name"]] = f"{maker['name']}-{suffix(data)}"


def suffix(data: Mapping[str, str]) -> str:
    """Of a generated ConfigMap: ten letters that change with its content. Its name is not part of it,
    although there is a place for it."""
    content = {"data": data, "kind": "ConfigMap", "name": ""}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return hashlib.sha256(text.encode()).hexdigest()[:10].translate(HASH_LETTERS)


def _patch(folder: Path, patch: Object, objects: dict[Key, Object]) -> None:
    if patch.keys() != {"path"}:
        raise ValueError(f"{folder}: this builder reads patches by their path only, and has {patch}")
    change = yaml.safe_load((folder / patch["path"]).read_text())
    if key_of(change) not in objects:
        raise ValueError(f"{folder / patch['path']}: there is no {key_of(change)} to change")
    objects[key_of(change)] = _merged(objects[key_of(change)], change, change["kind"])


def _merged(old: Object, change: Object, owner: str) -> Object:
    """A strategic merge patch: None takes a key away, `$patch: delete` an element of a list."""
    if "$patch" in change:
        raise ValueError(f"$patch is read in elements of lists only, and stands in {change}")
    result = dict(old)
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            before = old.get(name)
            result[name] = _merged(before if isinstance(before, dict) else {}, value, name)
        elif isinstance(value, list) and (key := _merge_key(name, owner)) is not None:
            result[name] = _merged_list(old.get(name) or [], value, key, name)
        else:
            result[name] = value
    return result


def _merge_key(name: str, owner: str) -> str | None:
    if name == "ports":
        return "containerPort" if owner in ("containers", "initContainers") else "port"
    return MERGE_KEYS.get(name)


def _merged_list(old: Iterable[Object], change: Iterable[Object], key: str, name: str) -> list[Object]:
    """What the patch has comes first."""
    rest = {each[key]: each for each in old}
    first = []
    for each in change:
        before = rest.pop(each[key], {})
        if each.get("$patch") != "delete":
            first.append(_merged(before, each, name))
    return [*first, *rest.values()]


def _renamed(each: Object, hashed: Mapping[str, str]) -> Object:
    """With the full names of generated ConfigMaps, also where a Pod's volumes name them."""
    if each["kind"] == "ConfigMap":
        name = each["metadata"]["name"]
        return {**each, "metadata": {**each["metadata"], "name": hashed.get(name, name)}}
    if each["kind"] != "Deployment":
        return each
    changed: Object = json.loads(json.dumps(each))
    for volume in changed["spec"]["template"]["spec"].get("volumes", ()):
        if "configMap" in volume:
            name = volume["configMap"]["name"]
            volume["configMap"]["name"] = hashed.get(name, name)
    return changed

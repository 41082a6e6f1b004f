"""A bundle's identity, its checks and its default place. The files are tiny stand-ins."""

import json
import re
from pathlib import Path

import pytest

from router_extproc.base.errors import ModelError
from router_extproc.encoder.adapter import VERIFIER_WEIGHTS, adapter_id
from router_extproc.encoder.bundle import (
    FILES,
    MANIFEST,
    MODEL,
    VERIFIER,
    build_bundle,
    default_folder,
    encoder_id,
    load_bundle,
    write_manifest,
)
from router_extproc.encoder.graph import Precision

SUMS = {name: str(index) * 64 for index, name in enumerate(FILES)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).write_bytes(name.encode())
    write_manifest(tmp_path, Precision.INT8, dimension=384, max_positions=512)
    return tmp_path


def test_an_intact_bundle_loads(folder: Path) -> None:
    bundle = load_bundle(folder)
    assert (bundle.dimension, bundle.max_positions, bundle.model) == (384, 512, folder / MODEL)
    assert bundle.verifier_model == folder / VERIFIER
    assert bundle.verifier == adapter_id(VERIFIER_WEIGHTS)


def test_the_identity_fits_the_name_of_a_collection() -> None:
    assert re.fullmatch(r"[a-z0-9_-]{1,26}", encoder_id(SUMS))


@pytest.mark.parametrize("name", [MODEL, "tokenizer.json"])
def test_the_identity_changes_with_each_file_that_shapes_vectors(name: str) -> None:
    assert encoder_id(SUMS) != encoder_id(SUMS | {name: "f" * 64})


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"changed")
    with pytest.raises(ModelError, match=f"{re.escape(name)}: the checksum is not the manifest's"):
        load_bundle(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{re.escape(name)}: cannot be read"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", 99, "another version"),
        ("files", {"../../etc/passwd": "0"}, "another version"),
        ("encoder", "minilm-l6-v2-000000000000", "identity does not follow"),
        ("verifier", "0" * 64, "made with another verifier; build it again"),
        ("dimension", "wide", "not a bundle's manifest"),
    ],
)
def test_a_manifest_that_lies_is_refused(folder: Path, key: str, value: object, message: str) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | {key: value}))
    with pytest.raises(ModelError, match=message):
        load_bundle(folder)


def test_a_bundle_from_before_there_was_a_verifier_is_another_version_s(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest["verifier"], manifest["files"][VERIFIER]
    (folder / MANIFEST).write_text(json.dumps(manifest | {"format": 1}))
    with pytest.raises(ModelError, match="another version; build it again"):
        load_bundle(folder)


def test_the_verifier_is_no_part_of_the_vectors_identity() -> None:
    """Or a verifier that was fitted again would empty every cache."""
    assert encoder_id(SUMS) == encoder_id(SUMS | {VERIFIER: "f" * 64})


def test_an_absent_bundle_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="router-extproc models build"):
        load_bundle(tmp_path / "none")


def test_a_source_without_the_base_model_leaves_nothing_behind(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "cache" / "bundle"
    source.mkdir()
    with pytest.raises(ModelError, match=r"config\.json: cannot read"):
        build_bundle(source, target, lambda line: None)
    assert not target.parent.exists()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"ROUTER_EXTPROC_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a/minilm-l6-v2-int8"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/router-extproc/models/minilm-l6-v2-int8"),
        ({"HOME": "/c"}, "/c/.cache/router-extproc/models/minilm-l6-v2-int8"),
        (
            {"ROUTER_EXTPROC_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/c"},
            "/c/.cache/router-extproc/models/minilm-l6-v2-int8",
        ),
    ],
)
def test_the_default_folder_follows_the_environment(environment: dict[str, str], expected: str) -> None:
    assert default_folder(environment) == Path(expected)

"""What `models` says of a cache with broken bundles in it, of the heads that ship, and of nothing."""

import json
import os
from pathlib import Path

import pytest

from router_extproc.app.models import build_model, list_models, show_card
from router_extproc.base.errors import ModelError
from router_extproc.encoder.bundle import FILES, MANIFEST, default_folder, load_bundle, write_manifest
from router_extproc.encoder.graph import Precision


def seal(folder: Path) -> None:
    """A bundle by its checksums; nothing in it is a model."""
    folder.mkdir()
    for name in FILES:
        (folder / name).write_bytes(b"made up")
    write_manifest(folder, Precision.INT8, 384, 512)


def test_a_broken_bundle_is_a_line_and_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROUTER_EXTPROC_CACHE", str(tmp_path))
    for name in ("a-damaged", "b-whole", "c-nonsense", "d-whole"):
        seal(tmp_path / name)
    (tmp_path / "a-damaged" / FILES[0]).write_bytes(b"changed")
    (tmp_path / "c-nonsense" / MANIFEST).write_text("nonsense")
    encoder = load_bundle(tmp_path / "b-whole").encoder
    assert list_models() == 0
    damaged, whole, nonsense, other, *heads = capsys.readouterr().out.splitlines()
    assert damaged.startswith(f"{tmp_path / 'a-damaged' / FILES[0]}: the checksum is not the manifest's")
    assert whole == f"{encoder}  384 dimensions  0.0 MB  {tmp_path / 'b-whole'}"
    assert nonsense.startswith(f"{tmp_path / 'c-nonsense' / MANIFEST}: not a bundle's manifest")
    assert other.endswith(str(tmp_path / "d-whole"))
    assert any(line.startswith("domain ") and " 14 " in line for line in heads)


def test_the_list_in_json_has_bundles_errors_and_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROUTER_EXTPROC_CACHE", str(tmp_path))
    for name in ("a-damaged", "b-whole"):
        seal(tmp_path / name)
    (tmp_path / "a-damaged" / FILES[0]).write_bytes(b"changed")
    assert list_models(as_json=True) == 0
    document = json.loads(capsys.readouterr().out)
    damaged, whole = document["bundles"]
    assert "the checksum is not the manifest's" in damaged["error"]
    assert (whole["folder"], whole["dimension"]) == (str(tmp_path / "b-whole"), 384)
    assert whole["bytes"][FILES[0]] == len(b"made up")
    domain = next(head for head in document["heads"] if head["name"] == "domain")
    assert len(domain["card"]["labels"]) == 14


def test_an_empty_cache_says_how_to_fill_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROUTER_EXTPROC_CACHE", str(tmp_path / "absent"))
    assert list_models() == 0
    assert capsys.readouterr().out.startswith(f"no bundle in {tmp_path / 'absent'}; build one with")


def test_a_bundle_that_is_there_is_not_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is asked of any source: there is none that could answer here."""
    monkeypatch.setenv("ROUTER_EXTPROC_CACHE", str(tmp_path))
    seal(default_folder(os.environ))
    assert build_model(None, None, None) == 0
    assert "is in" in capsys.readouterr().out


def test_the_card_of_one_head_is_of_it_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert show_card("domain") == 0
    out = capsys.readouterr().out
    assert out.startswith("## domain\n")
    assert "complexity" not in out


def test_a_head_that_there_is_not_is_answered_with_those_there_are() -> None:
    with pytest.raises(
        ModelError, match=r"there is no head 'nope'; there are complexity, domain, .*verifier"
    ):
        show_card("nope")

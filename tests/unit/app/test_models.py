"""What `models list` says of a cache with broken bundles in it."""

from pathlib import Path

import pytest

from router_extproc.app.models import list_models
from router_extproc.encoder.bundle import FILES, MANIFEST, load_bundle, write_manifest
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
    damaged, whole, nonsense, other = capsys.readouterr().out.splitlines()
    assert damaged.startswith(f"{tmp_path / 'a-damaged' / FILES[0]}: the checksum is not the manifest's")
    assert whole == f"{encoder}  384 dimensions  {tmp_path / 'b-whole'}"
    assert nonsense.startswith(f"{tmp_path / 'c-nonsense' / MANIFEST}: not a bundle's manifest")
    assert other.endswith(str(tmp_path / "d-whole"))

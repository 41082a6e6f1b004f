"""What `check-config` says of certificates. Their renewal: tests/component/test_tls_ext_proc.py."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from router_extproc.cli import main
from tests.support.authority import Authority
from tests.support.stack import write_configuration


def configured(folder: Path, *, days: int = 30, mode: int = 0o600) -> Path:
    chain, key = Authority(folder).pair("localhost", expires=datetime.now(UTC) + timedelta(days=days))
    (folder / "tls.crt").write_bytes(chain)
    (folder / "tls.key").write_bytes(key)
    (folder / "tls.key").chmod(mode)
    tls = {"certificate_file": "tls.crt", "key_file": "tls.key"}
    return write_configuration(folder, listeners={"api": {"port": 8080, "tls": tls}})


def test_files_that_fit_are_not_spoken_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", str(configured(tmp_path))]) == 0
    assert "tls." not in capsys.readouterr().out.replace("tls.crt", "")


def test_what_may_still_be_used_is_worth_knowing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", str(configured(tmp_path, days=-1, mode=0o644))]) == 0
    said = capsys.readouterr().out
    assert "worth knowing (2)" in said
    assert "listeners.api.tls.certificate_file" in said
    assert "expired at" in said
    assert "mode 644" in said


def test_what_cannot_be_used_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(tmp_path)
    (tmp_path / "tls.key").unlink()
    assert main(["check-config", str(config)]) == 1
    assert "listeners.api.tls.key_file" in capsys.readouterr().err

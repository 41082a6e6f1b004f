"""Pairs of certificate and key: what is taken, what is refused with which word, and what is warned of."""

import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from router_extproc.base.errors import ConfigError
from router_extproc.server.tls import MAX_BYTES, Certificates, TlsFiles, read_pair
from tests.support.authority import Authority

NOW = time.time()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> TlsFiles:
    found = TlsFiles(
        "router.yaml: listeners.api.tls", tmp_path / "tls.crt", tmp_path / "tls.key", authority.path
    )
    write(found, *authority.pair("localhost"))
    return found


def write(files: TlsFiles, chain: bytes, key: bytes) -> None:
    files.certificate.write_bytes(chain)
    files.key.write_bytes(key)
    files.key.chmod(0o600)


def test_a_pair_that_fits_is_taken_without_a_word(files: TlsFiles) -> None:
    pair = read_pair(files, NOW)
    assert pair.warnings == ()
    assert pair.context.verify_mode is ssl.CERT_REQUIRED
    assert pair.client_authorities == files.paths[2].read_bytes()


def test_the_first_end_in_the_chain_counts(files: TlsFiles, authority: Authority) -> None:
    end = datetime(2090, 1, 2, tzinfo=UTC)
    chain, key = authority.pair("localhost", expires=end)
    write(files, chain + authority.pem, key)
    assert read_pair(files, NOW).expires == end.timestamp()


@pytest.mark.parametrize(
    ("name", "key", "cure"),
    [("tls.crt", "certificate_file", "No such file"), ("tls.key", "key_file", "No such file"),
     ("authority.pem", "client_ca_file", "No such file")],
)  # fmt: skip
def test_a_missing_file_is_named_with_its_key(files: TlsFiles, name: str, key: str, cure: str) -> None:
    (files.key.parent / name).unlink()
    with pytest.raises(ConfigError, match=rf"listeners\.api\.tls\.{key}: .*{name}.*{cure}") as caught:
        read_pair(files, NOW)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["tls.crt", "tls.key", "authority.pem"])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n", b"\xff" * 100])
def test_what_is_no_pem_is_refused(files: TlsFiles, name: str, content: bytes) -> None:
    (files.key.parent / name).write_bytes(content)
    with pytest.raises(ConfigError, match=rf"{name}: has no .* that can be read"):
        read_pair(files, NOW)


def test_the_key_of_another_certificate_is_refused_and_not_shown(
    files: TlsFiles, authority: Authority
) -> None:
    key = authority.pair("localhost")[1]
    files.key.write_bytes(key)
    with pytest.raises(ConfigError, match=r"tls\.key: is not the key of .*tls\.crt") as caught:
        read_pair(files, NOW)
    assert not [line for line in key.decode().splitlines() if line in str(caught.value)]


def test_a_key_of_another_kind_is_refused_too(files: TlsFiles) -> None:
    command = ["openssl", "genrsa", "-out", str(files.key), "2048"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with pytest.raises(ConfigError, match="is not the key of"):
        read_pair(files, NOW)


def test_an_encrypted_key_asks_nobody_for_a_password(files: TlsFiles) -> None:
    """In a process of its own with a terminal's input, where OpenSSL would ask."""
    command = ["openssl", "genrsa", "-aes256", "-passout", "pass:word", "-out", str(files.key), "2048"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    script = (
        "import sys; from pathlib import Path; from router_extproc.server.tls import *\n"
        "try: read_pair(TlsFiles('t', *map(Path, sys.argv[1:])), 0.0)\n"
        "except Exception as error: print(error)"
    )
    words = [sys.executable, "-c", script, str(files.certificate), str(files.key)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert "is encrypted" in done.stdout, done.stderr


def test_a_file_without_end_is_not_read(files: TlsFiles) -> None:
    files.certificate.write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="has more than"):
        read_pair(files, NOW)


def test_what_may_still_be_used_is_worth_a_warning(files: TlsFiles, authority: Authority) -> None:
    write(files, *authority.pair("localhost", expires=datetime.now(UTC) - timedelta(days=1)))
    files.key.chmod(0o644)
    expired, readable = read_pair(files, NOW).warnings
    assert "expired at" in expired
    assert "certificate_file" in expired
    assert "mode 644" in readable
    assert "key_file" in readable
    assert "is the clock right?" in read_pair(files, 0.0).warnings[0]


def test_nothing_of_a_key_is_in_what_may_be_printed(files: TlsFiles) -> None:
    pair = read_pair(files, NOW)
    shown = f"{pair} {Certificates(files, pair)} {files}"
    assert not [line for line in files.key.read_text().splitlines() if line in shown]

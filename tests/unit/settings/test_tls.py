"""`listeners.NAME.tls`, and what Envoy's configuration is rendered from."""

from pathlib import Path
from typing import Any

import pytest

from router_extproc.app.configuration import Configuration, load, topology_of
from router_extproc.base.errors import ConfigError
from tests.support.stack import write_configuration

PAIR = {"certificate_file": "tls/tls.crt", "key_file": "/abs/tls.key"}
OWN = {"certificate_file": "own.crt", "key_file": "own.key"}


def configured(folder: Path, tls: Any, listener: str = "ext_proc") -> Configuration:
    return load(write_configuration(folder, listeners={listener: {"port": 50051, "tls": tls}}))


def test_envoys_side_has_absolute_paths_and_the_address_as_its_name(tmp_path: Path) -> None:
    given = configured(tmp_path, {**PAIR, "envoy": {"ca_file": "ca.crt", **OWN}})
    tls = topology_of(given).ext_proc_tls
    assert tls is not None
    assert (tls.ca_file, tls.server_name) == (f"{tmp_path}/ca.crt", "127.0.0.1")
    assert (tls.certificate, tls.key) == (f"{tmp_path}/own.crt", f"{tmp_path}/own.key")


def test_envoy_is_not_rendered_without_what_the_router_asks_for(tmp_path: Path) -> None:
    """A plain Envoy before a router with TLS would pass every request by it."""
    with pytest.raises(ConfigError, match=r"listeners\.ext_proc\.tls\.envoy: is required"):
        topology_of(configured(tmp_path, PAIR))
    tls = {**PAIR, "client_ca_file": "clients.pem", "envoy": {"ca_file": "ca.crt"}}
    with pytest.raises(ConfigError, match=r"envoy\.certificate_file: is required with client_ca_file"):
        topology_of(configured(tmp_path, tls))


@pytest.mark.parametrize(
    ("listener", "tls", "said"),
    [
        ("ext_proc", {"certificate_file": "a"}, r"tls\.key_file"),
        ("ext_proc", {**PAIR, "envoy": {"ca_file": "c", "key_file": "k"}}, "give both"),
        ("ext_proc", {**PAIR, "client": {"ca_file": "c"}}, r"tls\.client"),
        ("api", {**PAIR, "envoy": {"ca_file": "c"}}, r"tls\.envoy"),
        ("api", {**PAIR, "client": {}}, r"tls\.client\.ca_file"),
        ("metrics", {**PAIR, "client": {"ca_file": "c"}}, r"tls\.client"),
        ("envoy", PAIR, r"listeners\.envoy\.tls"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, listener: str, tls: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        configured(tmp_path, tls, listener)

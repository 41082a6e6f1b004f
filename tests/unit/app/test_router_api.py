"""Where the router is, who may see what, and what its answers are taken for. Components make the calls."""

from pathlib import Path
from typing import Any

import pytest

from router_extproc.app.router_api import Documents, Place, glance_of
from router_extproc.base.errors import OperatorError
from tests.support.glances import ADDRESS, DECISIONS, NOT_READY, READY, overview
from tests.support.stack import write_configuration

PLACE = Place(ADDRESS, None, "they need the token", "start it")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ROUTER_EXTPROC_TOKEN", raising=False)
    path = tmp_path / "admin-token"
    path.write_text("from-the-file\n")
    path.chmod(0o600)
    return write_configuration(
        tmp_path,
        semantic_cache={"backend_type": "memory", "backend_config_path": None},
        listeners={"api": {"address": "0.0.0.0", "port": 8080}},
    )


def test_the_address_and_the_token_are_the_configurations(config: Path) -> None:
    place = Place.of(config, None)
    assert (place.address, place.token) == ("http://127.0.0.1:8080", "from-the-file")
    assert "from-the-file" not in repr(place)
    assert str(config) in place.cure


def test_the_environments_token_goes_before_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_EXTPROC_TOKEN", "from-the-environment")
    assert Place.of(config, None).token == "from-the-environment"
    assert Place.of(config, "https://router.example/").token == "from-the-environment"


def test_another_address_does_not_get_the_configurations_token(config: Path) -> None:
    place = Place.of(config, "https://router.example/below/")
    assert (place.address, place.token) == ("https://router.example/below", None)
    assert "ROUTER_EXTPROC_TOKEN" in place.tokenless


def test_a_token_that_cannot_be_had_leaves_the_rest_to_see(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config.parent / "admin-token").chmod(0o644)
    place = Place.of(config, None)
    assert (place.token, place.address) == (None, "http://127.0.0.1:8080")
    assert "chmod 600" in place.tokenless
    (config.parent / "admin-token").unlink()
    assert Place.of(config, None).token is None
    monkeypatch.setenv("ROUTER_EXTPROC_TOKEN", "not one word")
    assert "one word" in Place.of(config, None).tokenless


@pytest.mark.parametrize(
    "api",
    ["", "127.0.0.1:8080", "ftp://x", "http://", "http://u:p@x", "http://x?y", "http://x#y", "http://x:99999",
     "http://[x", "http://x/\x1b[1m"],
)  # fmt: skip
def test_what_is_no_address_is_refused(config: Path, api: str) -> None:
    with pytest.raises(OperatorError, match="--api: ") as raised:
        Place.of(config, api)
    assert str(raised.value).isprintable()


def test_without_a_configuration_the_address_can_be_given(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="with --api"):
        Place.of(tmp_path / "none.yaml", None)
    assert Place.of(tmp_path / "none.yaml", ADDRESS).address == ADDRESS


@pytest.mark.parametrize(
    "edit",
    ["unknown_key: 1", "default_model: no-such", "default_model: a\ndefault_model: b", "day: 2026-13-45",
     "who: !nobody x", "? [a, b]\n: c", "bouncer:\n  - ${HOME}", "semantic_cache: 7"],
)  # fmt: skip
def test_what_the_router_refuses_still_says_where_it_is(config: Path, edit: str) -> None:
    config.write_text(f"{config.read_text()}\n{edit}\n")
    place = Place.of(config, None)
    assert (place.address, place.token) == ("http://127.0.0.1:8080", "from-the-file")


def test_a_place_is_read_as_yaml_means_it(config: Path) -> None:
    config.write_text(
        "base: &base {address: '::', port: 9_001}\n"
        "listeners: {api: {<<: *base, port: 0x2329}, envoy: wrong}\n"
        "admin: {token_file: none, token_file: admin-token}\n"
    )
    place = Place.of(config, None)
    assert (place.address, place.token) == ("http://[::1]:9001", "from-the-file")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", "127.0.0.1:8080"),
        ("some words", "127.0.0.1:8080"),
        ("[listeners]", "127.0.0.1:8080"),
        ("listeners: 1\nadmin: []", "127.0.0.1:8080"),
        ("listeners: {api: 9001}", "127.0.0.1:8080"),
        ("listeners: {api: {port: 9001}}", "127.0.0.1:9001"),
        ("listeners: {api: {port: '9001', tls: yes}}", "127.0.0.1:9001"),
        ("listeners: {api: {port: 99999, address: 10.0.0.1}}", "10.0.0.1:8080"),
        ("listeners: {api: {port: !!int x, address: 2026-13-45}}", "127.0.0.1:8080"),
        ("listeners: {api: {port: [9001], address: 'user@host/path'}}", "127.0.0.1:8080"),
        ("listeners: {api: {<<: 5, port: 9001}}", "127.0.0.1:9001"),
        ('admin: {token_file: "a\\0b"}', "127.0.0.1:8080"),
    ],
)
def test_what_makes_no_sense_of_a_place_has_the_default(config: Path, text: str, address: str) -> None:
    config.write_text(text)
    place = Place.of(config, None)
    assert (place.address, place.token) == (f"http://{address}", None)


@pytest.mark.parametrize(
    "content", [b"listeners: [", b"a: *b", b"a: 1\n--- \nb: 2", b"\xff\x00", b"[" * 5000, b"#" * 1_100_000]
)
def test_what_is_no_yaml_is_refused_with_the_cure(config: Path, content: bytes) -> None:
    config.write_bytes(content)
    with pytest.raises(OperatorError, match="with --api URL") as raised:
        Place.of(config, None)
    assert str(raised.value).startswith(f"{config}: ")
    assert str(raised.value).isprintable()


def test_where_nothing_answers_another_address_is_the_cure(config: Path) -> None:
    """`listeners.api` may have changed since the router started."""
    assert "--api URL names a router" in Place.of(config, None).cure


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (None, "they need the token"),
        ((401, {"error": {"message": "no"}}), "ROUTER_EXTPROC_TOKEN"),
        ((403, {"error": {"message": "this router has none"}}), "this router has none"),
        ((404, {}), "does not tell"),
        ((503, {}), "status 503"),
    ],
)
def test_decisions_that_are_not_to_be_seen_hide_nothing_else(
    said: tuple[int, dict[str, Any]] | None, why: str
) -> None:
    glance = glance_of(PLACE, Documents((503, NOT_READY), overview(), said))
    assert isinstance(glance.decisions, str)
    assert why in glance.decisions
    assert not glance.readiness.ready
    assert glance.overview.requests.total == 12034


def test_decisions_are_read() -> None:
    glance = glance_of(PLACE, Documents((200, READY), overview(), (200, DECISIONS)))
    assert len(glance.decisions) == len(DECISIONS["decisions"])
    assert glance.readiness.ready

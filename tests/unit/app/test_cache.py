"""The commands find the router by its configuration; what they print is tested where there is one."""

from pathlib import Path

import pytest

from router_extproc.app.cache import show
from router_extproc.app.cache_api import Api
from router_extproc.base.errors import OperatorError
from tests.support.stack import write_configuration


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


def test_the_token_and_the_address_are_the_configurations(config: Path) -> None:
    api = Api.of(config)
    assert (api.token, api.address) == ("from-the-file", "http://127.0.0.1:8080")
    assert "from-the-file" not in repr(api)


def test_the_environment_goes_before_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_EXTPROC_TOKEN", " from-the-environment\n")
    (config.parent / "admin-token").unlink()
    assert Api.of(config).token == "from-the-environment"


@pytest.mark.parametrize("token", ["a b", "a\x01b", "é", "a\r\nhost: x"])
def test_a_token_that_is_no_word_is_not_sent(
    config: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("ROUTER_EXTPROC_TOKEN", token)
    with pytest.raises(OperatorError, match="one word"):
        Api.of(config)


@pytest.mark.parametrize("entry", ["", "a/b", "../stats", "a?b=c", "é", "a b"])
def test_what_cannot_be_an_id_is_not_put_into_an_address(config: Path, entry: str) -> None:
    with pytest.raises(OperatorError, match="x-vsr-cache-entry"):
        show(config, entry, as_json=False)

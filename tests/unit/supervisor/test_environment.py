"""What children of the router learn from its environment."""

from pathlib import Path

import pytest

from router_extproc.app.configuration import load
from router_extproc.app.up import for_envoy
from router_extproc.supervisor.environment import inherited, without
from tests.support.stack import write_configuration


def test_who_needs_no_secret_gets_what_is_named() -> None:
    passed_on = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "LANG": "C.UTF-8",
        "LC_ALL": "C",
        "TMPDIR": "/scratch",
        "TZ": "UTC",
        "PYTHONPATH": "/src",
        "VIRTUAL_ENV": "/venv",
        "SSL_CERT_FILE": "/authorities.pem",
    }
    kept_back = {"ROUTER_TENANT_KEY": "a", "MILVUS_PASSWORD": "b", "OPENAI_API_KEY": "c", "PATH_KEY": "d"}
    kept_back |= {"LC_API_KEY": "e", "PYTHON_KEYRING_PASSWORD": "f", "PYTHONSTARTUP": "g"}
    assert inherited(passed_on | kept_back) == passed_on


def test_who_needs_some_gets_all_but_the_others() -> None:
    assert without({"A": "1", "B": "2"}, {"B", "C"}) == {"A": "1"}


def test_envoy_gets_keys_of_models_and_none_of_the_routers_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {"TENANTS": "t" * 20, "MILVUS_WORD": "m", "ROUTER_EXTPROC_TOKEN": "r"}
    for name, value in {**secrets, "PROVIDER_KEY": "p"}.items():
        monkeypatch.setenv(name, value)
    auth = {"enabled": True, "username": "u", "password_env": "MILVUS_WORD"}
    milvus = {"connection": {"host": "127.0.0.1", "auth": auth}}
    cache = {"tenant_key_env": "TENANTS", "scope": "credential"}
    configuration = load(write_configuration(tmp_path, milvus=milvus, semantic_cache=cache))
    given = for_envoy(configuration)
    assert given["PROVIDER_KEY"] == "p"
    assert not secrets.keys() & given.keys()

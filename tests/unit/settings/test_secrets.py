"""Whoever writes a secret where none belongs is told the place, and the secret is not repeated."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from router_extproc.app.configuration import load
from router_extproc.base.errors import ConfigError
from tests.support.stack import shipped_document

SECRET = "sk-Zq7-NeverShown"
PEM = f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n"

Change = Callable[[dict[str, Any]], object]


def model(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(iter(document["model_config"].values()))
    return found


MISTAKES: dict[str, Change] = {
    "a key as the key's section": lambda d: model(d).update(api_key=SECRET),
    "a key as a value": lambda d: model(d).update(api_key={"value": SECRET}),
    "a key as its variable's name": lambda d: model(d).update(api_key={"env": SECRET}),
    "a list of keys": lambda d: model(d).update(api_key=[SECRET]),
    "a token as a token": lambda d: d["admin"].update(token=SECRET),
    "a list as the token's file": lambda d: d["admin"].update(token_file=[SECRET]),
    "the tenants' key as its variable's name": lambda d: d["semantic_cache"].update(tenant_key_env=SECRET),
    "a password in an address": lambda d: d["vllm_endpoints"][0].update(address=f"user:{SECRET}@host"),
    "a password in Envoy's address": lambda d: d.update(page={"envoy_url": f"https://u:{SECRET}@host"}),
    "a header for the collector": lambda d: d.update(
        observability={"tracing": {"exporter": {"headers": {"authorization": SECRET}}}}
    ),
    "a password of Milvus": lambda d: d["semantic_cache"].update(
        milvus={"connection": {"host": "h", "auth": {"enabled": True, "username": "u", "password": SECRET}}}
    ),
    "that password as its variable's name": lambda d: d["semantic_cache"].update(
        milvus={
            "connection": {"host": "h", "auth": {"enabled": True, "username": "u", "password_env": SECRET}}
        }
    ),
    "a key instead of its file": lambda d: d["listeners"]["api"].update(
        tls={"certificate_file": "c", "key_file": PEM}
    ),
}


@pytest.mark.parametrize("change", MISTAKES.values(), ids=MISTAKES)
def test_a_secret_in_the_wrong_place_is_not_repeated(tmp_path: Path, change: Change) -> None:
    document = shipped_document()
    document["semantic_cache"].pop("backend_config_path", None)
    change(document)
    path = tmp_path / "router.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)

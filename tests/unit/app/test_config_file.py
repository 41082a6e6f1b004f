"""The configuration as it is shown: without what is secret."""

from typing import Any

import pytest

from router_extproc.app.config_file import MASK, masked


@pytest.mark.parametrize(
    "key", ["password", "api_key", "apiKey", "API-TOKEN", "client_secret", "credentials"]
)
def test_what_is_called_a_secret_is_not_shown(key: str) -> None:
    assert masked({"a": [{key: "s3cret"}]}) == {"a": [{key: MASK}]}
    assert masked({key: ["s3cret"]}) == {key: [MASK]}


@pytest.mark.parametrize("key", ["password_env", "token_file", "tokens_per_second", "address"])
def test_where_a_secret_is_found_is_no_secret(key: str) -> None:
    assert masked({key: "NAME"}) == {key: "NAME"}


def test_an_address_is_shown_without_its_user() -> None:
    given: dict[str, Any] = {"x": "https://user:s3cret@example.com/v1", "y": 3, "z": None}
    assert masked(given) == {"x": f"https://{MASK}@example.com/v1", "y": 3, "z": None}

from dataclasses import replace

import pytest

from router_extproc.envoyconf.topology import Endpoint, Model, Tls
from tests.unit.envoyconf.shipped import SHIPPED


def test_a_default_model_that_is_no_model_is_refused() -> None:
    with pytest.raises(ValueError, match="'absent' is not one of the models"):
        replace(SHIPPED, default_model="absent")


def test_a_model_without_endpoints_is_refused() -> None:
    with pytest.raises(ValueError, match="has no endpoint"):
        Model(())


@pytest.mark.parametrize(
    ("host", "port", "server_name", "expected"),
    [
        ("vllm", 80, None, "vllm"),
        ("vllm", 8000, None, "vllm:8000"),
        ("api.example.com", 443, "api.example.com", "api.example.com"),
        ("api.example.com", 443, "front.example.com", "api.example.com"),
        ("10.0.0.1", 443, "api.example.com", "api.example.com"),
        ("10.0.0.1", 8443, "10.0.0.1", "10.0.0.1:8443"),
        ("::1", 8000, None, "[::1]:8000"),
    ],
)
def test_the_authority_is_what_a_client_of_this_server_would_send(
    host: str, port: int, server_name: str | None, expected: str
) -> None:
    tls = None if server_name is None else Tls("/ca.pem", server_name)
    assert Endpoint(host, port, tls=tls).authority == expected


@pytest.mark.parametrize(
    ("host", "server_name", "named"),
    [("vllm", None, True), ("10.0.0.1", None, False), ("10.0.0.1", "10.0.0.1", False), ("::1", "a.b", True)],
)
def test_a_server_is_named_when_it_goes_by_a_name(host: str, server_name: str | None, named: bool) -> None:
    tls = None if server_name is None else Tls("/ca.pem", server_name)
    assert Model((Endpoint("10.0.0.9", 1), Endpoint(host, 443, tls=tls))).is_named is named

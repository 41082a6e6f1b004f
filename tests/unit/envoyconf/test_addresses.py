import pytest

from router_extproc.envoyconf.addresses import address, stat_name
from router_extproc.envoyconf.topology import HostPort, UnixPath


def test_a_tcp_address_keeps_host_and_port() -> None:
    rendered = address(HostPort("router", 50051)).to_dict()
    assert rendered == {"socketAddress": {"address": "router", "portValue": 50051}}


def test_a_unix_path_becomes_a_pipe() -> None:
    assert address(UnixPath("/run/router.sock")).to_dict() == {"pipe": {"path": "/run/router.sock"}}


@pytest.mark.parametrize(
    ("name", "expected"), [("model:qwen3-0.6b", "model_qwen3-0_6b"), ("model:org/m", "model_org_m")]
)
def test_a_name_in_a_statistic_has_no_dot(name: str, expected: str) -> None:
    assert stat_name(name) == expected

import pytest
import yaml

from tests.support.envoy import with_test_ports
from tests.unit.envoyconf.shipped import shipped_text

PORTS = {50051: 1, 9001: 2, 9002: 3, 9003: 4}


def test_every_port_is_replaced() -> None:
    text = with_test_ports(shipped_text(), PORTS)
    config = yaml.safe_load(text)
    resources = config["static_resources"]
    assert resources["listeners"][0]["address"]["socket_address"]["port_value"] == 0
    assert config["admin"]["address"]["socket_address"]["port_value"] == 0
    hosts = [
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0] for cluster in resources["clusters"]
    ]
    assert [host["endpoint"]["address"]["socket_address"]["port_value"] for host in hosts] == [1, 2, 3, 4]
    assert not any(str(port) in text for port in (8801, *PORTS))


def test_everything_else_stays() -> None:
    before = yaml.safe_load(shipped_text())["static_resources"]["listeners"][0]["filter_chains"]
    after = yaml.safe_load(with_test_ports(shipped_text(), PORTS))
    assert after["static_resources"]["listeners"][0]["filter_chains"] == before


def test_a_port_without_a_replacement_is_an_error() -> None:
    with pytest.raises(ValueError, match="cluster model:qwen3-32b: no replacement for port 9003"):
        with_test_ports(shipped_text(), {50051: 1, 9001: 2, 9002: 3})


def test_upstreams_of_a_test_are_left_alone() -> None:
    assert '"port_value": 9003' in with_test_ports(shipped_text(), None)

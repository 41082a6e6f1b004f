from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from router_extproc.envoyconf.render import bootstrap_of, render_envoy
from router_extproc.envoyconf.text import FIELD_NAMES, HEADER
from router_extproc.envoyconf.topology import HostPort, KeyFromEnvironment
from tests.unit.envoyconf.shipped import SHIPPED, shipped_text

ROOT = Path(__file__).resolve().parents[3]


def test_the_shipped_file_is_what_the_shipped_topology_renders() -> None:
    assert (ROOT / "envoy.yaml").read_text() == shipped_text()


def test_the_text_begins_with_its_origin() -> None:
    assert shipped_text().splitlines()[0] == HEADER.rstrip("\n")


def test_the_text_says_what_the_message_says() -> None:
    assert yaml.safe_load(shipped_text()) == bootstrap_of(SHIPPED).to_dict(casing=FIELD_NAMES)


def test_field_names_are_those_of_the_proto() -> None:
    # A digit in a name is where a converter of cases goes wrong.
    assert "enforcing_consecutive_5xx: 100" in shipped_text()


def test_the_text_has_no_anchors() -> None:
    text = shipped_text()
    assert "&id" not in text
    assert "*id" not in text


def test_there_is_an_admin_port_only_on_demand() -> None:
    assert "admin" not in yaml.safe_load(shipped_text())
    with_admin = yaml.safe_load(render_envoy(replace(SHIPPED, admin=HostPort("127.0.0.1", 19000))))
    assert with_admin["admin"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 19000}


@pytest.mark.parametrize("name", ["1e3", "y", "no", "0x1F", ".5", "~"])
def test_a_name_that_some_yaml_reader_takes_for_another_type_is_quoted(name: str) -> None:
    odd = replace(SHIPPED, models={name: SHIPPED.models["qwen3-8b"]}, default_model=name)
    assert f"exact: '{name}'\n" in render_envoy(odd)


def test_the_file_tells_where_a_key_is_and_names_envoy_to_itself() -> None:
    keyed = replace(SHIPPED.models["qwen3-8b"], api_key=KeyFromEnvironment("A_KEY"))
    content = yaml.safe_load(render_envoy(replace(SHIPPED, models={**SHIPPED.models, "qwen3-8b": keyed})))
    (secret,) = content["static_resources"]["secrets"]
    assert secret["generic_secret"] == {"secret": {"environment_variable": "A_KEY"}}
    assert content["node"]["id"]
    assert "secrets" not in yaml.safe_load(shipped_text())["static_resources"]

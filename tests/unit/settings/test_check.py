"""Configurations whose every key is valid and that still cannot work, or whose keys have no effect."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from router_extproc.base.errors import ConfigError
from router_extproc.envoyconf.listener import MESSAGE_TIMEOUT
from router_extproc.settings.check import (
    MAX_BUDGET_MS,
    MAX_MILVUS_ANSWER_BYTES,
    check_settings,
)
from router_extproc.settings.check_pool import REQUEST_FIELDS
from router_extproc.settings.schema import Settings
from router_extproc.stores.codec import row_of
from tests.support.entries import a_partition, an_entry

SHIPPED = Path(__file__).parents[3] / "config" / "router.yaml"
FILE = Path("router.yaml")


def shipped() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(SHIPPED.read_text())
    return document


def problems(document: dict[str, Any]) -> str:
    """The message about a configuration, empty when it is right."""
    try:
        check_settings(FILE, Settings.model_validate(document))
    except ConfigError as error:
        return str(error).removeprefix(f"{FILE}: ")
    return ""


def pool(*places: str, simulated: bool = True) -> dict[str, Any]:
    """The shipped configuration with its servers at other places (`ADDRESS PORT`)."""
    document = shipped()
    for endpoint, place in zip(document["vllm_endpoints"], places, strict=False):
        endpoint["address"], port = place.split()
        endpoint["port"] = int(port)
    if not simulated:
        del document["simulator"]
    return document


@pytest.mark.parametrize(
    ("verifier", "message"),
    [
        (
            {"threshold": 0.9, "veto": 0.91},
            "semantic_cache.verifier.veto: 0.91 is above threshold, 0.9: a candidate with a sign of",
        ),
        ({"threshold": 0.5}, "semantic_cache.verifier.veto: 0.65, the default, is above threshold, 0.5: a"),
        ({"veto": 1.0}, "semantic_cache.verifier.veto: 1.0 is above threshold, 0.85, the default: a cand"),
        ({"threshold": 0.9, "veto": 0.9}, ""),
        ({"threshold": 0.5, "enabled": False}, ""),
    ],
)
def test_a_sign_of_a_difference_never_makes_a_hit_likelier(verifier: dict[str, Any], message: str) -> None:
    document = shipped()
    document["semantic_cache"]["verifier"] = verifier
    said = problems(document)
    assert said.startswith(message) if message else said == ""
    document["semantic_cache"]["enabled"] = False
    assert problems(document) == ""


@pytest.mark.parametrize(
    ("analysis", "lookup", "company", "right"),
    [
        (500, 50, 2000, True),
        (1949, 50, 2000, True),
        (1950, 50, 2000, False),
        (500, 1499, 2000, True),
        (500, 1500, 2000, False),
        (500, 50, 3449, True),
        (500, 50, 3450, False),
        (3949, 50, 0, True),
        (3950, 50, 0, False),
        (60_000, 50, 0, False),
    ],
)
def test_the_router_s_deadlines_stay_below_envoy_s(
    analysis: int, lookup: int, company: int, right: bool
) -> None:
    document = shipped() | {"encoder": {"timeout_ms": analysis}}
    document["semantic_cache"] |= {"lookup_timeout_ms": lookup, "coalesce_timeout_ms": company}
    document["semantic_cache"]["verifier"] = {"enabled": False}
    message = problems(document)
    assert (message == "") is right
    if not right:
        assert message.startswith(f"encoder.timeout_ms: {analysis} ms, ")
        assert f"semantic_cache.lookup_timeout_ms ({lookup} ms)" in message
        assert f"semantic_cache.coalesce_timeout_ms ({company} ms)" in message
        assert message.endswith("lower one of them")


@pytest.mark.parametrize(("enabled", "right"), [(True, False), (False, True)])
def test_the_verifier_may_take_as_long_again_as_the_analysis(enabled: bool, right: bool) -> None:
    document = shipped() | {"encoder": {"timeout_ms": 975}}
    document["semantic_cache"] |= {"lookup_timeout_ms": 50, "coalesce_timeout_ms": 2000}
    assert problems(document).startswith("encoder.timeout_ms: 975 ms (twice, for the verifier has as much), ")
    document["semantic_cache"] |= {"enabled": enabled}
    assert (problems(document) == "") is right
    document["semantic_cache"] |= {"enabled": True, "verifier": {"enabled": False}}
    assert problems(document) == ""


def test_the_bound_leaves_envoy_a_second() -> None:
    assert MESSAGE_TIMEOUT.total_seconds() * 1000 == 5000 == MAX_BUDGET_MS + 1000


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("127.0.0.1", "0.0.0.0"),
        ("::", "10.0.0.1"),
        ("::", "0.0.0.0"),
        ("localhost", "127.0.0.1"),
        ("::1", "0:0::1"),
    ],
)
def test_a_wildcard_listener_takes_its_port_everywhere(one: str, other: str) -> None:
    document = shipped()
    document["listeners"]["envoy"] = {"address": one, "port": 7000}
    document["listeners"]["metrics"] = {"address": other, "port": 7000}
    assert problems(document).startswith(f"listeners.metrics: {other}:7000 is also listeners.envoy; change")
    document["listeners"]["metrics"]["port"] = 7001
    assert problems(document) == ""


def test_a_unix_socket_takes_no_port_and_no_address_beside_it() -> None:
    document = shipped()
    document["listeners"]["ext_proc"] = {"path": "/run/router.sock"}
    document["listeners"]["metrics"] = {"port": 50051}
    assert problems(document) == ""
    document["listeners"]["ext_proc"]["port"] = 50051
    assert problems(document) == "listeners.ext_proc.port: has no effect with path; remove one of them"


def test_listeners_of_one_port_at_two_addresses_are_right() -> None:
    document = shipped()
    document["listeners"]["envoy"] = {"address": "10.0.0.1", "port": 7000}
    document["listeners"]["metrics"] = {"address": "127.0.0.1", "port": 7000}
    assert problems(document) == ""


@pytest.mark.parametrize("simulated", [True, False])
@pytest.mark.parametrize("place", ["127.0.0.1 8801", "localhost 8801", "0.0.0.0 8801"])
def test_a_server_of_the_pool_is_not_a_listener(place: str, simulated: bool) -> None:
    message = problems(pool("127.0.0.1 9001", place, simulated=simulated))
    assert (
        message
        == f"vllm_endpoints[1]: {place.replace(' ', ':')} is also listeners.envoy; change one of the ports"
    )


@pytest.mark.parametrize("listener", ["0.0.0.0", "::"])
def test_a_wildcard_listener_takes_the_ports_of_this_machine_s_servers_only(listener: str) -> None:
    simulated, real, loopback = (
        pool("10.0.0.5 8801"),
        pool("10.0.0.5 8801", simulated=False),
        pool("::1 8801"),
    )
    for document in (simulated, real, loopback):
        document["listeners"]["envoy"]["address"] = listener
    assert problems(simulated).startswith("vllm_endpoints[0]: 10.0.0.5:8801 is also listeners.envoy")
    assert problems(loopback).startswith("vllm_endpoints[0]: ::1:8801 is also listeners.envoy")
    assert problems(real) == ""


@pytest.mark.parametrize("again", ["127.0.0.1 9001", "localhost 9001", "0.0.0.0 9001"])
def test_two_simulated_servers_do_not_listen_in_one_place(again: str) -> None:
    message = problems(pool("127.0.0.1 9001", again))
    assert message.startswith(f"vllm_endpoints[1]: {again.replace(' ', ':')} is also vllm_endpoints[0], and")
    assert problems(pool("127.0.0.1 9001", again, simulated=False)) == ""


def test_a_simulated_endpoint_serves_one_model() -> None:
    document = shipped()
    document["model_config"]["qwen3-8b"]["preferred_endpoints"] = ["medium", "small"]
    assert problems(document) == (
        "model_config.qwen3-8b.preferred_endpoints[1]: the simulator already serves 'qwen3-0.6b' at 'small'; "
        "give each simulated model endpoints of its own"
    )
    del document["simulator"]
    assert problems(document) == ""


def test_an_answer_that_may_be_cached_fits_into_a_row() -> None:
    document = shipped()
    document["semantic_cache"]["max_answer_bytes"] = MAX_MILVUS_ANSWER_BYTES
    assert problems(document) == ""
    document["semantic_cache"]["max_answer_bytes"] = MAX_MILVUS_ANSWER_BYTES + 1
    assert problems(document).startswith("semantic_cache.max_answer_bytes: a row of Milvus holds answers of")
    document["semantic_cache"] |= {"backend_type": "memory", "backend_config_path": None}
    assert problems(document) == ""


def test_the_largest_answer_fits_beside_a_prompt_of_100_kilobytes() -> None:
    prompt, answer = "q" * 100_000, "語" * (MAX_MILVUS_ANSWER_BYTES // 3)
    row = row_of(an_entry(a_partition("here"), prompt, content=answer), "embedding")
    assert row["size"] > MAX_MILVUS_ANSWER_BYTES


def scored(score: dict[str, Any], family: dict[str, str]) -> dict[str, Any]:
    document = shipped() | {"reasoning_families": {"qwen3": family}}
    document["categories"] = [{"name": "math", "model_scores": [{"model": "qwen3-32b"} | score]}]
    return document


KWARGS = {"type": "chat_template_kwargs", "parameter": "enable_thinking"}
EFFORT = {"type": "reasoning_effort", "parameter": "reasoning_effort"}


@pytest.mark.parametrize(
    ("score", "family", "message"),
    [
        ({"use_reasoning": True, "reasoning_effort": "high"}, EFFORT, ""),
        ({"use_reasoning": True}, KWARGS, ""),
        ({"reasoning_effort": "high"}, EFFORT, "has no effect without use_reasoning"),
        ({"reasoning_effort": "high"}, KWARGS, "has no effect without use_reasoning"),
        (
            {"use_reasoning": True, "reasoning_effort": "high"},
            KWARGS,
            "has no effect, because the family of 'qwen3-32b' is of type chat_template_kwargs",
        ),
    ],
)
def test_an_effort_without_effect_is_refused(
    score: dict[str, Any], family: dict[str, str], message: str
) -> None:
    path = "categories[0].model_scores[0].reasoning_effort: "
    found = problems(scored(score, family))
    assert found.startswith(path + message) if message else found == ""


def test_a_default_effort_that_no_family_reads_is_refused_even_when_it_is_the_default_s_value() -> None:
    document = shipped() | {"default_reasoning_effort": "medium"}
    assert problems(document).startswith("default_reasoning_effort: has no effect")
    assert problems(document | {"reasoning_families": {"qwen3": EFFORT}}) == ""


@pytest.mark.parametrize("field", REQUEST_FIELDS)
@pytest.mark.parametrize("kind", ["chat_template_kwargs", "reasoning_effort"])
def test_a_reasoning_switch_is_not_a_field_of_every_request(field: str, kind: str) -> None:
    document = shipped() | {"reasoning_families": {"qwen3": {"type": kind, "parameter": field}}}
    assert problems(document).startswith(f"reasoning_families.qwen3.parameter: {field!r} is a field of every")


@pytest.mark.parametrize(
    "scope", ["header:authorization", "header:x-selected-model", "header:host", "header:cookie"]
)
def test_a_tenant_s_header_is_nobody_else_s(scope: str) -> None:
    document = shipped()
    document["semantic_cache"]["scope"] = scope
    assert "semantic_cache.scope" in problems(document)
    document["semantic_cache"]["scope"] = "header:x-tenant"
    assert problems(document) == ""

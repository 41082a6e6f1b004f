"""Configuration errors are one line that names the file, the key and the cure."""

from pathlib import Path

import pytest

from router_extproc.base.errors import ConfigError
from router_extproc.settings.check_milvus import check_milvus
from router_extproc.settings.load import load_milvus, load_settings

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "config" / "router.yaml"
MILVUS = ROOT / "config" / "cache" / "milvus.yaml"


def check(tmp_path: Path, text: str) -> str:
    """The message about a configuration, empty when it is right."""
    path = tmp_path / "router.yaml"
    path.write_text(text)
    try:
        load_settings(path)
    except ConfigError as error:
        message = str(error)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        return message.removeprefix(f"{path}: ")
    return ""


def changed(old: str, new: str) -> str:
    text = SHIPPED.read_text()
    assert old in text
    return text.replace(old, new, 1)


def test_the_shipped_configuration_is_right(tmp_path: Path) -> None:
    assert check(tmp_path, SHIPPED.read_text()) == ""
    check_milvus(MILVUS, load_milvus(MILVUS))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "  ttl_seconds:",
            "  ttl_second:",
            "semantic_cache.ttl_second: unknown key; did you mean `ttl_seconds`?",
        ),
        (
            "use_reasoning: true",
            "use_reasonin: true",
            "categories[0].model_scores[0].use_reasonin: unknown key; did you mean `use_reasoning`?",
        ),
        (
            "default_model: qwen3-8b",
            "default_modle: qwen3-8b",
            "default_model: is required; default_modle: unknown key; did you mean `default_model`?",
        ),
        ("port: 8801", "port: 88010", "listeners.envoy.port: input should be less than or equal to 65535"),
        ("port: 8801", "port: '8801'", "listeners.envoy.port: input should be a valid integer"),
        ("enabled: true", "enabled: maybe", "semantic_cache.enabled: input should be a valid boolean"),
        ("default_model: qwen3-8b", "default_model: nope", "default_model: 'nope' is not in model_config"),
        (
            "preferred_endpoints: [small]",
            "preferred_endpoints: [tiny]",
            "model_config.qwen3-0.6b.preferred_endpoints[0]: 'tiny' is not in vllm_endpoints",
        ),
        ("name: medium,", "name: small,", "vllm_endpoints[1].name: 'small' stands twice"),
        (
            "    reasoning_family: qwen3\n",
            "    reasoning_family: qwen4\n",
            "model_config.qwen3-0.6b.reasoning_family: 'qwen4' is not in reasoning_families",
        ),
        ("{name: physics, ", "{name: math, ", "categories[1].name: 'math' stands twice"),
        ("{name: physics, ", "{name: alchemy, ", "categories[1].name: input should be 'biology', "),
        (
            "api:      {address: 127.0.0.1, port: 8080}",
            "api:      {address: 127.0.0.1, port: 8801}",
            "listeners.api: 127.0.0.1:8801 is also listeners.envoy",
        ),
        (
            "backend_type: hybrid ",
            "backend_type: memory ",
            "semantic_cache.backend_config_path: has no effect with backend_type memory",
        ),
        ("scope: credential ", "scope: everybody ", "semantic_cache.scope: string should match pattern"),
        ("scope: credential ", "scope: 'header:' ", "semantic_cache.scope: string should match pattern"),
        (
            "scope: credential ",
            "scope: header:X-Tenant ",
            "semantic_cache.scope: string should match pattern",
        ),
        ("scope: credential ", "scope: 'header::path' ", "semantic_cache.scope: string should match pattern"),
        ("scope: credential ", "scope: 'shared\n' ", "semantic_cache.scope: string should match pattern"),
        (
            "scope: credential ",
            "scop: credential ",
            "semantic_cache.scop: unknown key; did you mean `scope`?",
        ),
        (
            "max_temperature: 1.0",
            "max_temperature: 2.5",
            "semantic_cache.max_temperature: input should be less",
        ),
        ("coalesce_timeout_ms: 2000", "coalesce_timeout_ms: -1", "semantic_cache.coalesce_timeout_ms: input"),
        ("coalesce_timeout_ms: 2000", "coalesce_timeout_ms: 3900", "encoder.timeout_ms: 500 ms (twice, for "),
        ("stale_if_error_seconds: 0", "stale_if_error_seconds: -1", "stale_if_error_seconds: input should"),
        ("{share: 0.0}", "{share: 1.5}", "semantic_cache.verification.share: input should be less than"),
        ("{share: 0.0}", "{rate: 0.1}", "semantic_cache.verification.rate: unknown key; valid keys here are"),
        (
            "{name: other,   ",
            "{name: other, semantic_cache: {mode: fuzzy}, ",
            "categories[13].semantic_cache.mode: input should be 'off', 'exact' or 'semantic'",
        ),
        (
            "{name: other,   ",
            "{name: other, semantic_cache: {ttl_seconds: 0}, ",
            "categories[13].semantic_cache.ttl_seconds: input should be greater than 0",
        ),
        (
            "{name: other,   ",
            "{name: other, semantic_cache: {similarity_threshold: 1.1}, ",
            "categories[13].semantic_cache.similarity_threshold: input should be less than or equal to 1",
        ),
        (
            "{name: other,   ",
            "{name: other, semantic_cache: {threshold: 0.9}, ",
            "categories[13].semantic_cache.threshold: unknown key; did you mean `similarity_threshold`?",
        ),
        ("qwen3-0.6b: {time", "qwen3-0.7b: {time", "simulator.models.qwen3-0.6b: simulator.models and"),
        ("auto_model_name: MoM", "auto_model_name: qwen3-8b", "model_config.qwen3-8b: this name means"),
        ("default_model: qwen3-8b", "default_model: [", "is not valid YAML: line "),
        (
            "default_model: qwen3-8b",
            "default_model: qwen3-8b\ndefault_model: qwen3-8b",
            "is not valid YAML: line 12: key 'default_model' stands twice (first in line 11)",
        ),
    ],
)
def test_a_mistake_is_named_by_path(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert message in check(tmp_path, changed(old, new))


@pytest.mark.parametrize("text", ["", "[]", "just words"])
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    assert check(tmp_path, text).startswith("must hold keys and values")


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    message = check(tmp_path, changed("port: 8801", "port: 0").replace("ttl_seconds", "ttl_secs"))
    assert "listeners.envoy.port" in message
    assert "semantic_cache.ttl_secs" in message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        load_settings(tmp_path / "none.yaml")


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "router.yaml"
    path.write_bytes(b"#" * 2_000_000)
    with pytest.raises(ConfigError, match="has more than 1048576 bytes"):
        load_settings(path)


def test_values_are_not_repeated_in_messages(tmp_path: Path) -> None:
    assert "hunter2" not in check(tmp_path, changed("port: 8801", "port: hunter2"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("connection: {}", "connection: give either `path`"),
        ("connection: {path: a, host: b}", "connection: give either `path`"),
        ("connection: {path: a, port: 1}", "connection.port: only a server has it"),
        ("connection: {path: a, auth: {username: u}}", "connection.auth: only a server has it"),
        ("connection: {host: h, pasword: p}", "connection.pasword: unknown key; valid keys here are auth,"),
        ("connection: {host: h}\nsearch: {consistency_level: Session}", "search.consistency_level: session"),
    ],
)
def test_mistakes_in_the_store_s_file_are_named_too(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "milvus.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        check_milvus(path, load_milvus(path))
    assert str(caught.value).removeprefix(f"{path}: ").startswith(message)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{this}: &{this} [{', '.join([f'*{last}'] * 8)}]\n"
            for last, this in zip("abcdef", "bcdefg", strict=True)
        ),
        "a: " + "[" * 60 + "]" * 60,
    ],
)
def test_a_document_that_grows_without_bound_is_refused(tmp_path: Path, text: str) -> None:
    assert check(tmp_path, text).startswith("is nested more than 50 deep, or has more than 50000 values")


def test_an_alias_that_goes_round_is_refused(tmp_path: Path) -> None:
    assert check(tmp_path, "a: &a [*a]").startswith("is not valid YAML: line 1: ")


def test_a_date_that_is_none_is_an_error_of_the_file(tmp_path: Path) -> None:
    assert check(tmp_path, "a: 2026-13-45").startswith("is not valid YAML: ")

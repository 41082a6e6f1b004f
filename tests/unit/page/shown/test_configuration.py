import pytest
import yaml

from router_extproc.page.shown import configuration as shown

STATE = {
    "generation": 3,
    "policy": "abc",
    "hash": "0" * 64,
    "problem": None,
    "configuration": {"default_model": "größer", "admin": {"token_file": "***"}},
}


def test_the_configuration_is_shown_as_yaml_in_its_order() -> None:
    text = shown.text(STATE)
    assert yaml.safe_load(text) == STATE["configuration"]
    assert text.startswith("default_model: größer")


def test_the_generation_stands_beside_the_digests() -> None:
    assert [name for name, _ in shown.facts(STATE, 60.0)] == ["Generation", "Policy", "File (SHA-256)"]


@pytest.mark.parametrize(
    ("valid", "problems", "restart", "tone"),
    [(False, ["a"], None, "bad"), (True, [], "listeners", "warn"), (True, [], None, "good")],
)
def test_a_check_ends_with_a_sentence(
    valid: bool, problems: list[str], restart: str | None, tone: str
) -> None:
    said = {"valid": valid, "problems": problems, "warnings": [], "restart": restart}
    sentence, found = shown.verdict(said)
    assert found == tone
    assert sentence.endswith(".") or sentence.endswith("listeners")

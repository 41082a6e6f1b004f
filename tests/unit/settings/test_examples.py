"""What the shipped configurations, and the examples in the documentation, let pass: an ordinary prompt that
only names a city, an age or a nationality."""

import re
from pathlib import Path

import pytest
import yaml

from router_extproc.screening.spans import PII_TYPES, QUASI_IDENTIFIERS, types_named
from router_extproc.settings.load import read_settings
from router_extproc.settings.screening import compile_screening

ROOT = Path(__file__).parents[3]
WHOLE = (
    ROOT / "config" / "router.yaml",
    *sorted((ROOT / "config" / "examples").glob("vsr-*.yaml")),
    *(ROOT / "config" / "scenarios" / f"{name}.yaml" for name in
      ("customer-service", "code-assistance", "knowledge-base")),
)  # fmt: skip
SHOWN = (*WHOLE, *sorted((ROOT / "docs").glob("*.md")))
TYPES = re.compile(r"pii_types_allowed: (\[[A-Z_, ]+\])")


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.name)
def test_no_shipped_policy_keeps_a_quasi_identifier_from_a_model(path: Path) -> None:
    policy = compile_screening(read_settings(path).settings).pii
    for key in ("", *policy.decisions, *policy.overrides):
        for model in policy.models:
            assert policy.denied(key, model, QUASI_IDENTIFIERS) == frozenset()


def test_shipped_policies_keep_every_identifier_from_some_model() -> None:
    """The examples still show what a policy is for."""
    for name in ("vsr-2025.yaml", "vsr-v0.1.yaml"):
        policy = compile_screening(read_settings(ROOT / "config" / "examples" / name).settings).pii
        keys = ("", *policy.decisions)
        denied = {policy.denied(key, model, PII_TYPES) for key in keys for model in policy.models}
        assert PII_TYPES - QUASI_IDENTIFIERS in denied


def test_every_list_of_types_that_is_shown_has_the_quasi_identifiers() -> None:
    """Comments too, from which people copy."""
    lists = [(path.name, found) for path in SHOWN for found in TYPES.findall(path.read_text())]
    assert {"router.yaml", "GUARDS.md", "vsr-2025.yaml", "vsr-v0.1.yaml"} <= {name for name, _ in lists}
    for name, found in lists:
        assert types_named(yaml.safe_load(found)) >= QUASI_IDENTIFIERS, name

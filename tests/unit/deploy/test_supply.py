"""Licences and advisories: what is accepted, and that nothing is called clean which nobody looked at."""

from collections.abc import Mapping
from email.message import Message
from typing import Any, cast

import pytest

from deploy.supply.advisories import CANARY, CLEAN, NOT_AUDITED, WEAK, audit
from deploy.supply.licences import accepted, expression_of, main

GPL = "License :: OSI Approved :: GNU General Public License (GPL)"
ALLOW = frozenset({"MIT", "BSD-3-Clause", "Apache-2.0"})


@pytest.mark.parametrize(
    ("expression", "good"),
    [
        ("MIT", True),
        ("MIT AND BSD-3-Clause", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("GPL-3.0-only OR MIT AND GPL-2.0-only", False),
        ("(GPL-3.0-only OR MIT) AND Apache-2.0", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-3.0-only WITH Classpath-exception-2.0", False),
        ("AGPL-3.0-or-later", False),
        ("", False),
        ("MIT AND", False),
        ("(MIT", False),
        ("MIT; whatever", False),
        ("LicenseRef-Unknown", False),
    ],
)
def test_an_expression_is_accepted_where_a_choice_among_allowed_licences_is(
    expression: str, good: bool
) -> None:
    assert accepted(expression, ALLOW) is good


def about(**fields: str | list[str]) -> Any:
    message = Message()
    for name, value in fields.items():
        for each in value if isinstance(value, list) else [value]:
            message[name.replace("_", "-")] = each
    return cast("Any", message)


@pytest.mark.parametrize(
    ("fields", "expression"),
    [
        ({"License_Expression": "MIT", "License": "GPL"}, "MIT"),
        ({"License": "Apache 2.0"}, "Apache-2.0"),
        ({"License": "MPL-2.0 AND MIT"}, "MPL-2.0 AND MIT"),
        ({"Classifier": ["License :: OSI Approved :: MIT License"]}, "MIT"),
        (
            {"Classifier": ["License :: Public Domain", GPL]},
            "LicenseRef-Public-Domain AND GPL-1.0-or-later",
        ),
        ({"License": "Copyright (c)\nsome text", "Classifier": ["License :: Other/Proprietary License"]},
         "LicenseRef-Unknown"),
        ({}, ""),
    ],
)  # fmt: skip
def test_every_form_of_metadata_is_read_and_what_is_not_understood_counts_against(
    fields: dict[str, Any], expression: str
) -> None:
    assert expression_of(about(**fields)) == expression


def test_what_the_product_is_made_of_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0, capsys.readouterr().err


WEAKNESS = {"id": "CVE-1", "aliases": ["GHSA-1"], "fix_versions": ["2.0"]}


def said(name: str, *found: Mapping[str, Any], **more: str) -> Mapping[str, Any]:
    return {"dependencies": [{"name": name, "version": "1.0", "vulns": list(found), **more}]}


@pytest.mark.parametrize(
    ("answers", "outcome", "word"),
    [
        ({"osv": (said("jinja2", WEAKNESS), said("a"))}, CLEAN, "0 weaknesses"),
        (
            {"osv": (said("jinja2", WEAKNESS), said("a", WEAKNESS))},
            WEAK,
            "a 1.0: CVE-1, GHSA-1; mended in 2.0",
        ),
        ({"pypi": (said("jinja2", WEAKNESS), said("a", WEAKNESS))}, WEAK, "osv: cannot be reached"),
        ({}, NOT_AUDITED, "NOT AUDITED"),
        ({"osv": (said("jinja2", skip_reason="not found"), said("a"))}, NOT_AUDITED, "NOT AUDITED"),
        ({"pypi": (said("jinja2"), said("a"))}, NOT_AUDITED, "knows nothing of jinja2"),
        ({"osv": (said("jinja2", WEAKNESS), None)}, NOT_AUDITED, "gave no answer"),
        (
            {"osv": (said("jinja2", WEAKNESS), said("a", skip_reason="x"))},
            CLEAN,
            "does not know 1 packages: a",
        ),
    ],
)
def test_only_a_database_that_knows_a_known_weakness_can_call_anything_clean(
    answers: Mapping[str, tuple[Any, Any]], outcome: int, word: str
) -> None:
    lines: list[str] = []

    def ask(service: str, requirements: str) -> Mapping[str, Any] | None:
        known, asked = answers.get(service, (None, None))
        return cast("Mapping[str, Any] | None", known if requirements == CANARY else asked)

    assert audit("a==1.0", ask, lines.append) == outcome
    assert word in "".join(lines)

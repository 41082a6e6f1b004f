"""Headers, digests and the reasons that operators read."""

from enum import StrEnum
from pathlib import Path

import pytest

from router_extproc.base.digest import digest
from router_extproc.base.headers import Headers
from router_extproc.base.refusals import (
    Bypass,
    Failure,
    Guarded,
    Missed,
    Rejection,
    Uncached,
    Verified,
    Waited,
)
from router_extproc.caching.guard import Difference
from router_extproc.routing.reasons import Rule

REASONS = Path(__file__).parents[3] / "docs" / "REASONS.md"


def test_headers_keep_every_value_in_order() -> None:
    headers = Headers.of([("Accept", "a"), ("accept", "b"), ("x", "")])
    assert headers.all("accept") == ("a", "b")
    assert headers.get("accept") == "a"
    assert headers.get("missing", "d") == "d"
    assert "x" in headers
    assert headers.all("missing") == ()


def test_parts_of_a_digest_do_not_run_together() -> None:
    assert digest("d", [b"ab", b"c"]) != digest("d", [b"a", b"bc"])
    assert digest("d", [b"a"]) != digest("e", [b"a"])
    assert digest("d", [b""]) != digest("d", [])
    assert len(digest("d", [])) == 32


def test_a_keyed_digest_needs_the_key() -> None:
    assert len({digest("d", [b"a"], key=key) for key in (b"", b"k", b"l")}) == 3


@pytest.mark.parametrize(
    "reasons", [Bypass, Rejection, Uncached, Missed, Waited, Verified, Guarded, Failure, Rule, Difference]
)
def test_every_reason_has_a_line_in_the_documentation(reasons: type[StrEnum]) -> None:
    section = REASONS.read_text().partition(f"## {reasons.__name__}\n")[2].partition("\n## ")[0]
    documented = {line.split("`")[1] for line in section.splitlines() if line.startswith("| `")}
    assert documented == {reason.value for reason in reasons}

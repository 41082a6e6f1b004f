"""Who holds the token."""

import pytest

from router_extproc.server.bearer import holds


@pytest.mark.parametrize("value", ["Bearer t0k-en", "bearer t0k-en", "BEARER  t0k-en "])
def test_a_bearer_of_the_token_is_let_in(value: str) -> None:
    assert holds([value], "t0k-en")


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["Bearer"],
        ["Bearer "],
        ["t0k-en"],
        ["Basic t0k-en"],
        ["Bearert0k-en"],
        ["Bearer t0k-e"],
        ["Bearer t0k-enn"],
        ["Bearer T0K-EN"],
        ["Bearer t0k-en t0k-en"],
        ["Bearer t0k-en", "Bearer t0k-en"],
        ["Bearer t0k-en\udcff"],
        ["Bearer t0k-\u0435n"],
    ],
)
def test_nobody_else_is(values: list[str]) -> None:
    assert not holds(values, "t0k-en")

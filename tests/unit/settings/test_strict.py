"""A name that cannot be one is refused with the reason, and its place is named."""

from typing import Any

import pytest

from router_extproc.base.errors import ConfigError
from router_extproc.settings.load import settle
from tests.unit.settings.test_dialects import FILE, POOL, deciding, refused

NO_COMMA = "a name has no comma, because names are listed in a response header; write another character"
NO_CONTROL = "a name has no line break, tab or other control character; write a space for it"
RULE = {"operator": "OR", "keywords": ["x"]}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"decisions": [deciding()[0] | {"name": "sums, big"}]}, f"decisions[0].name: {NO_COMMA}"),
        ({"decisions": [deciding()[0] | {"name": "sums\nbig"}]}, f"decisions[0].name: {NO_CONTROL}"),
        ({"decisions": [deciding()[0] | {"name": "sums\tbig"}]}, f"decisions[0].name: {NO_CONTROL}"),
        ({"keyword_rules": [{"name": "a,b", **RULE}]}, f"keyword_rules[0].name: {NO_COMMA}"),
        ({"keyword_rules": [{"category": "a,b", **RULE}]}, f"keyword_rules[0].category: {NO_COMMA}"),
    ],
)
def test_a_name_that_a_header_cannot_list_is_one_clear_line(keys: dict[str, Any], message: str) -> None:
    said = refused(**keys)
    assert message in said
    assert "\n" not in said
    assert "pattern" not in said


def test_a_name_in_any_script_is_one() -> None:
    decisions = [deciding()[0] | {"name": "保証 / naïve (2)"}]
    assert settle(FILE, POOL | {"decisions": decisions}).settings.decisions[0].name == "保証 / naïve (2)"


@pytest.mark.parametrize("name", ["a b", "-a", "a,b", "a\n", "é"])
def test_the_name_of_a_model_is_refused_where_it_stands(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settle(FILE, POOL | {"auto_model_name": name})
    assert "auto_model_name: a name has letters, digits and . _ : / - only" in str(caught.value)

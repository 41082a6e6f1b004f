import pytest
import yaml

from router_extproc.envoyconf.text import HEADER, yaml_text


def test_the_text_begins_with_its_origin_and_keeps_the_order() -> None:
    assert yaml_text({"second": 1, "first": [2]}) == f"{HEADER}second: 1\nfirst:\n- 2\n"


@pytest.mark.parametrize("text", ["1e3", "y", "no", "0x1F", ".5", "~", "12345678", "0o7", "true"])
def test_a_text_stays_a_text_for_every_reader(text: str) -> None:
    written = yaml_text({"key": text})
    assert f"'{text}'" in written
    assert yaml.safe_load(written) == {"key": text}

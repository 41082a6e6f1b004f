from dataclasses import replace

import pytest

from tests.unit.envoyconf.shipped import SHIPPED


def test_a_default_model_that_is_no_model_is_refused() -> None:
    with pytest.raises(ValueError, match="'absent' is not one of the models"):
        replace(SHIPPED, default_model="absent")


def test_a_model_without_endpoints_is_refused() -> None:
    with pytest.raises(ValueError, match="'qwen3-8b' has no endpoint"):
        replace(SHIPPED, models={"qwen3-8b": ()})

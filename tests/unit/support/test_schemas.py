"""Which schemas an object is held against."""

import pytest

from tests.support.schemas import is_custom


@pytest.mark.parametrize(
    ("version", "custom"),
    [
        ("v1", False),
        ("apps/v1", False),
        ("networking.k8s.io/v1", False),
        ("gateway.networking.k8s.io/v1", True),
        ("networking.istio.io/v1alpha3", True),
    ],
)
def test_an_object_is_custom_by_its_group(version: str, custom: bool) -> None:
    assert is_custom({"apiVersion": version}) is custom

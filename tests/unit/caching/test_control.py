"""What clients may ask of the cache: less."""

from math import inf

import pytest

from router_extproc.caching.control import BYPASS, FREE, CacheControl, parse_cache_control


@pytest.mark.parametrize(
    ("values", "control"),
    [
        ([], FREE),
        ([""], FREE),
        ([" , ,"], FREE),
        (["no-cache"], CacheControl(asks=False)),
        (["No-Store"], CacheControl(keeps=False)),
        (["no-cache, no-store"], BYPASS),
        (["no-cache", "no-store"], BYPASS),
        (["bypass"], BYPASS),
        (["max-age=0"], CacheControl(max_age=0)),
        (["max-age=30, max-age=10"], CacheControl(max_age=10)),
        (["max-age=10", "max-age=30"], CacheControl(max_age=10)),
        (["max-age=007"], CacheControl(max_age=7)),
        (["ttl=5"], CacheControl(ttl=5)),
        (["ttl=5, ttl=9, max-age=1"], CacheControl(ttl=5, max_age=1)),
        (["ttl=0"], CacheControl(keeps=False, ttl=0)),
        (["ttl=0, ttl=9"], CacheControl(keeps=False, ttl=0)),
        (["max-age=999999999"], CacheControl(max_age=999_999_999)),
    ],
)
def test_directives_add_up(values: list[str], control: CacheControl) -> None:
    assert parse_cache_control(values) == control


@pytest.mark.parametrize(
    "value",
    [
        "garbage",
        "public",
        "only-if-cached",
        "max-age",
        "max-age=",
        "max-age=-1",
        "max-age=1.5",
        "max-age=1e3",
        "max-age=\xb2",
        "max-age= 5",
        "max-age =5",
        'max-age="5"',
        "max-age=1000000000",
        "max-age=5=5",
        "ttl=x",
        "=5",
        "=",
        "no-cache=",
        "no-cache=1",
        "no-store=0",
        "no cache",
        "max-age=5; ttl=5",
        "no-cache, what",
        "what, max-age=5",
    ],
)
def test_what_is_not_understood_means_no_cache_at_all(value: str) -> None:
    assert parse_cache_control([value]) == BYPASS
    assert parse_cache_control(["max-age=5", value, "ttl=5"]) == BYPASS


def test_without_a_field_nothing_is_bounded() -> None:
    assert CacheControl(asks=True, keeps=True, max_age=inf, ttl=inf) == FREE

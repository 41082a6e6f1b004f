"""What a client asks of the cache, in the `x-vsr-cache-control` field of its request. It can only tighten."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class CacheControl:
    """`asks`: the cache may answer. `keeps`: the answer may be stored. `max_age`: the oldest answer taken;
    `ttl`: the longest an answer may be kept; both in seconds, both bounds beside those of the policy."""

    asks: bool = True
    keeps: bool = True
    max_age: float = inf
    ttl: float = inf


FREE = CacheControl()
BYPASS = CacheControl(asks=False, keeps=False)


def parse_cache_control(values: Iterable[str]) -> CacheControl:
    """The sum of all directives of all fields.

    A directive that is unknown or malformed means BYPASS: its sender wanted less of the cache, and how
    much less is not known. `max-age` and `ttl` take seconds as 1 to 9 decimal digits; `ttl=0` is `no-store`.
    """
    asks = keeps = True
    max_age = ttl = inf
    for directive in (each.strip().lower() for value in values for each in value.split(",")):
        name, equals, argument = directive.partition("=")
        seconds = _seconds(argument)
        match name:
            case "" if not equals:
                continue
            case "no-cache" if not equals:
                asks = False
            case "no-store" if not equals:
                keeps = False
            case "max-age" if seconds is not None:
                max_age = min(max_age, seconds)
            case "ttl" if seconds is not None:
                ttl = min(ttl, seconds)
                keeps = keeps and seconds > 0
            case _:  # "bypass" among them
                return BYPASS
    return CacheControl(asks, keeps, max_age, ttl)


def _seconds(argument: str) -> float | None:
    digits = argument.isascii() and argument.isdigit() and len(argument) <= 9
    return float(argument) if digits else None

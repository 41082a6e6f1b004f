"""Numbers and names as people read them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

NONE: Final = "–"  # noqa: RUF001 - an en dash stands for what there is not

WORDS: Final[Mapping[str, str]] = {
    "exact": "word for word",
    "semantic": "by meaning",
    "coalesced": "by waiting",
    "stale": "expired, in place of an error",
    "nothing_similar": "nothing similar",
    "held_back": "similar, held back",
    "word_for_word": "word for word only",
    "store_failed": "the store failed",
    "no_time": "no time left",
    "no_identity": "no credential",
    "cache_control": "the client asked",
    "auto_routing": "by category",
}
"""In place of words of the API that say too little by themselves."""


def words(name: str) -> str:
    """A label or reason of the API in plain words."""
    return WORDS.get(name, name.replace("_", " "))


def number(value: float | None) -> str:
    """1234 as 1,234."""
    return NONE if value is None else f"{value:,.0f}"


def rate(per_second: float) -> str:
    """Requests per second, with as many digits as say something."""
    if per_second == 0:
        return "0"
    return f"{per_second:.2f}" if per_second < 10 else f"{per_second:,.0f}"


def percent(share: float | None) -> str:
    if share is None:
        return NONE
    return f"{100 * share:.0f} %" if share in (0, 1) or 0.1 <= share <= 0.995 else f"{100 * share:.1f} %"


def millis(value: float | None) -> str:
    """Milliseconds as what is short: 0.42 ms, 12 ms, 3.1 s."""
    if value is None:
        return NONE
    if value >= 1000:
        return f"{value / 1000:.1f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms" if value >= 1 else f"{value:.2f} ms"


def size(count: float | None) -> str:
    """Bytes."""
    if count is None:
        return NONE
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def since(seconds: float) -> str:
    """A time that has passed: 40 s, 12 min, 3 h, 2 d."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def clock(at: float) -> str:
    """Unix seconds as the time of day in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def day(at: float) -> str:
    """Unix seconds as day and time in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def price(given: Mapping[str, Any] | None) -> str:
    """Of a million tokens, prompt and completion."""
    if given is None:
        return "no price"
    return f"{given['prompt_per_1m']:g} / {given['completion_per_1m']:g} {given['currency']}"

"""Numbers as a person reads them at a glance, and curves of characters. Pure."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

NOTHING: Final = "-"

STEPS: Final = "▁▂▃▄▅▆▇█"
ASCII_STEPS: Final = "_.:-=+*#"
"""As many, for terminals without Unicode's block elements."""


def duration(seconds: float) -> str:
    """The two largest units, whole."""
    rest = max(0, round(seconds))
    counts = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        counts.append((count, unit))
    largest = next((place for place, (count, _) in enumerate(counts) if count), len(counts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in counts[largest : largest + 2] if count) or "0 s"


def milliseconds(value: float | None) -> str:
    """Of three digits or so; seconds from one on."""
    if value is None:
        return NOTHING
    if value >= 999.5:
        return f"{value / 1000:.3g} s" if value < 99_950 else f"{value / 1000:.0f} s"
    return f"{value:.3g} ms"


def share(value: float | None) -> str:
    """Per cent."""
    return NOTHING if value is None else f"{100 * value:.1f} %"


def rate(per_second: float) -> str:
    return f"{per_second:.3g}" if per_second < 1000 else f"{per_second:,.0f}"


def ranked(counts: Mapping[str, int], shares: Mapping[str, float] = MappingProxyType({})) -> str:
    """Each with its count, and its share where it has one, in the order given."""
    return ", ".join(
        f"{name} {count:,} ({share(shares[name])})" if name in shares else f"{name} {count:,}"
        for name, count in counts.items()
    )


def sparkline(
    values: Sequence[float | None], width: int, *, highest: float | None = None, ascii_only: bool = False
) -> str:
    """One character for each of the last `width` values, from 0 to `highest`, or to the largest of them. A
    blank where there is None: nothing was is not the same as zero."""
    steps = ASCII_STEPS if ascii_only else STEPS
    shown = values[-width:] if width > 0 else ()
    full = max((each for each in shown if each is not None), default=0.0) if highest is None else highest
    return "".join(" " if each is None else _step(each, full, steps) for each in shown)


def _step(value: float, full: float, steps: str) -> str:
    """The lowest step is zero's alone."""
    if value <= 0 or full <= 0:
        return steps[0]
    level = value / full * (len(steps) - 1)
    return steps[max(1, min(len(steps) - 1, round(level)))]


def meter(value: float, width: int, *, ascii_only: bool = False) -> str:
    """A bar for `value`, in [0, 1], of at most `width`; something is seen of whatever is more than zero."""
    length = round(value * width)
    return ("#" if ascii_only else "█") * (max(1, length) if value > 0 else 0)

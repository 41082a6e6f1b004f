"""The trace that a request belongs to, as W3C Trace Context Level 2 writes it in the field `traceparent`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED: Final = 0x01
_KNOWN_FLAGS: Final = 0x03
"""Sampled, and random: others are not set (section 3.2.2.5)."""


@dataclass(frozen=True, slots=True)
class TraceContext:
    """`trace_id` has 32 and `span_id` 16 lower-case hex digits, not all zero."""

    trace_id: str
    span_id: str
    flags: int = _SAMPLED

    @property
    def sampled(self) -> bool:
        """Whether its spans are kept."""
        return bool(self.flags & _SAMPLED)

    def child(self, span_id: str, *, sampled: bool | None = None) -> "TraceContext":
        """Another span of the same trace; None leaves `sampled` as it is."""
        flags = self.flags
        if sampled is not None:
            flags = flags | _SAMPLED if sampled else flags & ~_SAMPLED
        return TraceContext(self.trace_id, span_id, flags)

    def header(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"


def parse_traceparent(values: Sequence[str]) -> TraceContext | None:
    """The caller's span, from every value of the field; None where there is none, or more than one, or it is
    not well formed: a new trace begins then (section 3.2.3)."""
    if len(values) != 1:
        return None
    found = _FORM.fullmatch(values[0].strip(" \t"))
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return TraceContext(trace_id, span_id, int(flags, 16) & _KNOWN_FLAGS)

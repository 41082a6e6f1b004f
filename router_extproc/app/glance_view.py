"""How a glance at a router looks in a terminal. Pure: values in, what rich renders out.

Colours say nothing that words do not say too: there are terminals without them, and people who see few.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from types import MappingProxyType
from typing import Final

from rich.console import Console, ConsoleOptions, Group, OverflowMethod, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from router_extproc.app.figures import (
    NOTHING,
    duration,
    meter,
    milliseconds,
    ranked,
    rate,
    share,
    sparkline,
)
from router_extproc.app.glance import Glance, Overview, PoolModel, Recorded, State, Way, worries
from router_extproc.app.terminal import printable

GOOD: Final = "green"
BAD: Final = "bold red"
NOTABLE: Final = "yellow"
QUIET: Final = "dim"
HEAD: Final = "bold"
STATES: Final = MappingProxyType({State.READY: GOOD, State.DEGRADED: NOTABLE, State.NOT_READY: BAD})

CURVE_WIDTH: Final = 60
"""As many samples as the router keeps."""

METER_WIDTH: Final = 10
LEAST_ROWS: Final = 2
"""Of each list, however low the terminal."""


@dataclass(frozen=True, slots=True)
class Curve:
    """As much of `values` as there is room for."""

    values: Sequence[float | None]
    highest: float | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Segment(
            sparkline(
                self.values,
                min(CURVE_WIDTH, options.max_width),
                highest=self.highest,
                ascii_only=options.ascii_only,
            )
        )

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        width = min(CURVE_WIDTH, len(self.values), options.max_width)
        return Measurement(min(10, width), width)


@dataclass(frozen=True, slots=True)
class Meter:
    """A bar for a share of all."""

    value: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Segment(meter(self.value, min(METER_WIDTH, options.max_width), ascii_only=options.ascii_only))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        width = min(METER_WIDTH, options.max_width)
        return Measurement(min(4, width), width)


def plain_lines(view: RenderableType, width: int, *, ascii_only: bool = False) -> list[str]:
    """Without colours and without blanks at the ends of lines, for pipes and dumb terminals."""
    out = StringIO()
    console = Console(file=out, width=width, color_system=None, force_terminal=False, legacy_windows=False)
    options = console.options.update(height=None)
    if ascii_only:
        options.encoding = "ascii"
    for line in console.render_lines(view, options, pad=False):
        out.write("".join(segment.text for segment in line).rstrip() + "\n")
    return out.getvalue().splitlines()


def status_view(glance: Glance) -> Group:
    """Everything of one look."""
    overview = glance.overview
    models = _models(overview.models, len(overview.models))
    return Group(*_head(glance, folded=True), Text(""), *_figures(overview, folded=True), Text(""), models)


def top_view(glance: Glance, at: str, height: int | None = None, trouble: str = "") -> Group:
    """The picture at the time `at`, or the last one that there was before `trouble`. At most `height` lines,
    where that leaves room for LEAST_ROWS of each list; None: all there is."""
    overview = glance.overview
    decisions: Sequence[Recorded] = () if isinstance(glance.decisions, str) else glance.decisions
    head = _head(glance, at, trouble)
    wanted = (len(overview.models), len(overview.flows) or 1, len(decisions) or 1)
    # Each list has a blank line and a heading above it, and the figures have a blank line.
    rows: Sequence[int] = wanted
    if height is not None:
        rows = shared(height - len(head) - 1 - _figure_rows(overview) - 2 * len(wanted), wanted)
    return Group(
        *head,
        Text(""),
        *_figures(overview),
        Text(""),
        _models(overview.models, rows[0]),
        Text(""),
        _flows(overview.flows, rows[1]),
        Text(""),
        _last(glance.decisions, rows[2]),
    )


def shared(room: int, wanted: Sequence[int]) -> tuple[int, ...]:
    """How many rows each list gets of `room`: what it wants, or what is left when the others have had their
    even shares; LEAST_ROWS at least."""
    left = max(room, 0)
    given = [0] * len(wanted)
    in_order = sorted(range(len(wanted)), key=lambda each: wanted[each])
    for done, each in enumerate(in_order):
        even = left // (len(wanted) - done)
        given[each] = min(wanted[each], max(LEAST_ROWS, even))
        left = max(0, left - given[each])
    return tuple(given)


def _head(glance: Glance, at: str = "", trouble: str = "", *, folded: bool = False) -> list[Text]:
    """`folded` breaks what is long into lines; otherwise each is one line."""
    overview, requests, served = glance.overview, glance.overview.requests, glance.overview.configuration
    state = (glance.state.value, STATES[glance.state])
    lines = [
        Text.assemble(
            f"{at} " if at else "",
            (printable(glance.address), HEAD),
            ": ",
            ("no answer", BAD) if trouble else state,
            f", up {duration(overview.uptime_s)}",
        ),
        Text(
            f"{requests.in_window:,} requests in {duration(overview.window_s)}, "
            f"{requests.total:,} since the start, configuration {served.generation} "
            f"({printable(served.policy)[:12]})"
        ),
    ]
    if trouble:
        lines.append(Text(printable(trouble), BAD))
    else:
        lines += [Text(printable(reason), BAD) for reason in glance.readiness.reasons]
    lines += [Text(printable(worry), NOTABLE) for worry in worries(overview)]
    for line in lines:
        line.no_wrap, line.overflow = not folded, "fold" if folded else "ellipsis"
    return lines


def _figures(overview: Overview, *, folded: bool = False) -> list[RenderableType]:
    """`folded` as above."""
    requests, added, cache = overview.requests, overview.added_latency_ms, overview.cache
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=HEAD)
    grid.add_column(justify="right")
    grid.add_column()
    for column in grid.columns:
        column.no_wrap = True
    grid.add_column()
    note = f"p50 {milliseconds(added.p50)}, p99 {milliseconds(added.p99)}"
    grid.add_row("requests", f"{rate(requests.per_second)} /s", "", Curve(requests.history))
    grid.add_row("added p95", milliseconds(added.p95), note, Curve(added.history))
    grid.add_row("cache hits", share(cache.hit_rate), "", Curve(cache.history, highest=1.0))
    rest = Table.grid(padding=(0, 2))
    rest.add_column(no_wrap=True, style=HEAD)
    rest.add_column()
    for name, counts, style in _tallies(overview):
        overflow: OverflowMethod = "fold" if folded else "ellipsis"
        text = Text(printable(counts), style, no_wrap=not folded, overflow=overflow)
        rest.add_row(name, text)
    return [grid, rest] if rest.row_count else [grid]


def _tallies(overview: Overview) -> list[tuple[str, str, str]]:
    """Those that have something; the name, the counts, the style."""
    cache = overview.cache
    found = (
        ("found", ranked(cache.hits, cache.rates), ""),
        ("missed", ranked(cache.misses), ""),
        ("not looked up", ranked(cache.skipped), ""),
        ("refused", ranked(overview.refusals), NOTABLE),
    )
    return [each for each in found if each[1]]


def _figure_rows(overview: Overview) -> int:
    return 3 + len(_tallies(overview))


def _models(models: Sequence[PoolModel], rows: int) -> RenderableType:
    table = _table("MODEL", "STATE", "IN FLIGHT", "REQUESTS", "FAILED", "P50", "P95", names=(0,), texts=2)
    for model in models[:rows]:
        table.add_row(
            _named(model.name),
            _state(model.healthy),
            NOTHING if model.in_flight is None else f"{model.in_flight:,}",
            f"{model.requests:,}",
            Text(f"{model.failed:,}", BAD if model.failed else ""),
            milliseconds(model.latency_ms.p50),
            milliseconds(model.latency_ms.p95),
        )
    return _cut(table, len(models) - rows)


def _state(healthy: bool | None) -> Text:
    if healthy is None:
        return Text("not known", QUIET)
    return Text("up", GOOD) if healthy else Text("left alone", BAD)


def _flows(flows: Sequence[Way], rows: int) -> RenderableType:
    table = _table("CATEGORY", "DECISION", "ANSWERED BY", "REQUESTS", "SHARE", "", names=(0, 1, 2), texts=3)
    table.columns[-1].justify = "left"
    total = sum(flow.count for flow in flows)
    for flow in flows[:rows]:
        part = flow.count / total
        table.add_row(
            _named(flow.category),
            _named(flow.decision),
            _answered(flow.answered_by, flow.model),
            f"{flow.count:,}",
            share(part),
            Meter(part),
        )
    return _cut(table, len(flows) - rows) if flows else _none(table, "no request in this window")


def _last(decisions: Sequence[Recorded] | str, rows: int) -> RenderableType:
    table = _table(
        "TIME",
        "CATEGORY",
        "DECISION",
        "ANSWERED BY",
        "STATUS",
        "DECIDED",
        "TOTAL",
        names=(1, 2, 3, 4),
        texts=5,
    )
    if isinstance(decisions, str):
        return _none(table, f"no decisions to see: {printable(decisions)}")
    for each in decisions[:rows]:
        table.add_row(
            printable(each.time[11:19]),
            _named(each.category),
            _named(each.decision),
            _answer(each),
            _outcome(each),
            milliseconds(each.milliseconds.decided_after),
            milliseconds(each.milliseconds.total),
        )
    return table if decisions else _none(table, "no decisions yet")


def _answer(record: Recorded) -> Text:
    """Who, and of a hit whose answer, found how."""
    if record.answered_by == "cache" and record.model is not None:
        return _cell(f"cache ({record.cache.kind or 'hit'}): {record.model}", GOOD)
    return _answered(record.answered_by, record.model)


def _answered(by: str | None, model: str | None) -> Text:
    match by:
        case "model":
            return _cell(model or "a model")
        case "cache":
            return _cell("cache", GOOD)
        case "router":
            return _cell("router (refused)", NOTABLE)
        case "other":
            return _cell("other ways", QUIET)
        case _:
            return _cell("nobody", QUIET)


def _outcome(record: Recorded) -> Text:
    if record.rejected is not None:
        return _cell(f"{record.status or NOTHING} {record.rejected}", NOTABLE)
    if record.cancelled:
        return _cell("client left", QUIET)
    failed = record.status is None or record.status >= 500
    return _cell(NOTHING if record.status is None else str(record.status), BAD if failed else "")


def _named(name: str | None) -> Text:
    return _cell(NOTHING, QUIET) if name is None else _cell(name)


def _cell(text: str, style: str = "") -> Text:
    """One line, shortened where its column gives way."""
    return Text(printable(text), style, no_wrap=True, overflow="ellipsis")


def _table(*head: str, names: Sequence[int], texts: int) -> Table:
    """The columns `names` give way where there is no room for all; the first `texts` are no numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=HEAD)
    for place, name in enumerate(head):
        shrinks = place in names
        table.add_column(
            _cell(name) if shrinks else name,
            justify="left" if place < texts else "right",
            no_wrap=not shrinks,
            min_width=4 if shrinks else None,
        )
    return table


def _cut(table: Table, left_out: int) -> RenderableType:
    """With the number in the heading of those for which there was no room."""
    if left_out > 0:
        table.columns[0].header = _cell(f"{table.columns[0].header} (+{left_out})")
    return table


def _none(table: Table, why: str) -> RenderableType:
    return Group(Text(str(table.columns[0].header), HEAD), _cell(why, QUIET))

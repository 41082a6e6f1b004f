"""The table of metrics as the part of `docs/METRICS.md` between the markers. A test compares.

`python -m router_extproc.telemetry.page docs/METRICS.md` writes it anew.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from router_extproc.telemetry.collectors import METRICS
from router_extproc.telemetry.table import Configured, Label, Metric, Whose
from router_extproc.telemetry.table_own import WORKERS
from router_extproc.telemetry.table_peer import ABSENT

BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"

ALL = (*METRICS, *WORKERS)

_TITLES = {
    Whose.PEER: "Names of vLLM Semantic Router, late 2025",
    Whose.PEER_LATER: "Names that it has since",
    Whose.OURS: "Our names",
}


def table() -> str:
    """Markdown: the metrics by whose name it is, the peer's that are absent, and what bounds each label."""
    return "\n".join(_lines()) + "\n"


def put(page: str) -> str:
    """`page` with the table in place of what was between the markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def _lines() -> Iterator[str]:
    for whose, title in _TITLES.items():
        yield from (f"### {title}", "", "| metric | type | unit | what |", "|---|---|---|---|")
        yield from (_row(each) for each in ALL if each.whose is whose)
        yield ""
    yield from ("### Absent", "", "| name | why |", "|---|---|")
    yield from (f"| `{each.name}` | {each.reason} |" for each in ABSENT)
    yield from ("", "### Labels", "", "| label | of | values |", "|---|---|---|")
    bounds: dict[tuple[str, str], list[str]] = {}
    for metric in ALL:
        for label in metric.labels:
            bounds.setdefault((label.name, _values(label)), []).append(f"`{metric.name}`")
    for (name, values), metrics in sorted(bounds.items()):
        yield f"| `{name}` | {', '.join(metrics)} | {values} |"
    yield from ("", "### Buckets", "", "| histogram | upper bounds |", "|---|---|")
    for metric in ALL:
        if metric.buckets:
            yield f"| `{metric.name}` | {', '.join(f'{bound:g}' for bound in metric.buckets)} |"


def _row(metric: Metric) -> str:
    labels = ",".join(label.name for label in metric.labels)
    name = f"{metric.name}{{{labels}}}" if labels else metric.name
    return f"| `{name}` | {metric.kind} | {metric.unit} | {metric.help} |"


def _values(label: Label) -> str:
    words = ", ".join(f"`{word}`" for word in label.words)
    if not isinstance(label.values, Configured):
        return words
    return f"{label.values}{f', or {words}' if words else ''}"


if __name__ == "__main__":
    _path = Path(sys.argv[1])
    _path.write_text(put(_path.read_text()))

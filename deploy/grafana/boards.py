"""The Grafana boards. `python -m deploy.grafana.boards` writes them to `dashboards/`; a test compares.

A board is panels in rows, and a panel is queries with their legends. What differs between panels is in the
modules beside this one, what is the same in all of them is here. Prometheus is the data source variable
`DS_PROMETHEUS`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from deploy.grafana import cache, operations, peer, routing, savings
from deploy.grafana.panel import Board, Panel

BOARDS: Final = (peer.BOARD, cache.BOARD, routing.BOARD, savings.BOARD, operations.BOARD)
FOLDER: Final = Path(__file__).parent / "dashboards"
SOURCE: Final = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
WIDE: Final = 24
HEIGHT: Final = 8


def text_of(board: Board) -> str:
    return json.dumps(board_json(board), indent=2) + "\n"


def board_json(board: Board) -> dict[str, Any]:
    """As Grafana 10 and later read it."""
    panels, x, y = [], 0, 0
    for number, panel in enumerate(board.panels, start=1):
        if x + panel.width > WIDE:
            x, y = 0, y + HEIGHT
        panels.append(panel_json(panel, number, x, y))
        x += panel.width
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.text,
        "tags": ["router-extproc"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [{"name": "DS_PROMETHEUS", "type": "datasource", "query": "prometheus"}]},
        "panels": panels,
    }


def panel_json(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.form,
        "title": panel.title,
        "description": panel.text,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, **_bounds(panel)}, "overrides": []},
        "options": _options(panel.form),
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": SOURCE,
                "expr": query,
                "legendFormat": legend,
                "format": "heatmap" if panel.form == "heatmap" else "time_series",
                "instant": panel.form in ("bargauge", "stat"),
                "range": panel.form not in ("bargauge", "stat"),
            }
            for place, (query, legend) in enumerate(panel.queries)
        ],
    }


def _bounds(panel: Panel) -> Mapping[str, object]:
    share: dict[str, object] = {"min": 0, "max": 1} if panel.unit == "percentunit" else {}
    return share


def _options(form: Literal["timeseries", "bargauge", "stat", "heatmap"]) -> Mapping[str, object]:
    if form == "timeseries":
        legend = {"displayMode": "table", "placement": "bottom", "calcs": ["mean", "max", "lastNotNull"]}
        return {"legend": {**legend, "showLegend": True}, "tooltip": {"mode": "multi", "sort": "desc"}}
    if form == "heatmap":
        return {"calculate": False, "yAxis": {"unit": "short"}, "color": {"scheme": "Blues"}}
    return {"reduceOptions": {"calcs": ["lastNotNull"]}, "orientation": "horizontal"}


@dataclass(frozen=True, slots=True)
class Written:
    """One board's file and what is to be in it."""

    path: Path
    text: str


def written(boards: Sequence[Board] = BOARDS) -> list[Written]:
    return [Written(FOLDER / f"{board.uid}.json", text_of(board)) for board in boards]


if __name__ == "__main__":
    for file in written():
        file.path.write_text(file.text)

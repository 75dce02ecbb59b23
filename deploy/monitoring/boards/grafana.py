"""Grafana's dashboard JSON from a few words: what a panel asks, in which unit, from where on it is bad.

The fields are those of Grafana's dashboard kind, schema version 39
(https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

WIDTH = 24
"""Columns of Grafana's grid."""
_SOURCE = {"type": "prometheus", "uid": "${source}"}
_TAG = "gaji"


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of Prometheus.

    Attributes:
        expression: in PromQL.
        legend: the name of each of its series, e.g. ``{{route}}``.
        exemplars: whether traces are shown as dots.
    """

    expression: str
    legend: str = ""
    exemplars: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture.

    Attributes:
        title: its name.
        queries: what it shows.
        unit: Grafana's name of it: ``s``, ``percentunit``, ``bytes``, ``reqps``, ``short``, ...
        about: what it says, and what to do about it; shown beside the title.
        target: where the good ends (yellow from there on); None: nowhere.
        alert: where an alert fires (red from there on).
        falling: whether less is worse.
        kind: ``timeseries``, ``stat``, ``state-timeline`` or ``bargauge``.
        width: columns of 24.
        height: rows.
        stacked: whether series add up.
        runbook: the name of the alert whose page is linked.
    """

    title: str
    queries: Sequence[Query]
    unit: str = "short"
    about: str = ""
    target: float | None = None
    alert: float | None = None
    falling: bool = False
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    stacked: bool = False
    runbook: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels that belong together, under a title."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard.

    Attributes:
        name: of its file, and the end of its uid.
        title: what people see.
        about: one sentence.
        rows: from top to bottom.
    """

    name: str
    title: str
    about: str
    rows: Sequence[Row]


def rendered(board: Board, runbooks: str) -> str:
    """A dashboard's file, the same each time.

    Args:
        board: the dashboard.
        runbooks: the address of the folder of runbooks.
    """
    panels = list(_placed(board.rows, runbooks))
    document: Json = {
        "uid": f"{_TAG}-{board.name}",
        "title": board.title,
        "description": board.about,
        "tags": [_TAG],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,  # one crosshair for all panels
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "links": [
            {
                "title": "Gaji",
                "type": "dashboards",
                "icon": "external link",
                "tooltip": "",
                "url": "",
                "tags": [_TAG],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
                "targetBlank": False,
            }
        ],
        "templating": {"list": [_data_source()]},
        "annotations": {"list": [_firing()]},
        "panels": panels,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def expressions(board: Board) -> Iterable[tuple[str, str]]:
    """Each panel's title and PromQL."""
    for row in board.rows:
        for panel in row.panels:
            for query in panel.queries:
                yield panel.title, query.expression


def _placed(rows: Iterable[Row], runbooks: str) -> Iterable[Json]:
    """Panels from left to right, a line beginning where the last one is full."""
    number, top = 0, 0
    for row in rows:
        number += 1
        place = {"h": 1, "w": WIDTH, "x": 0, "y": top}
        yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}
        top += 1
        left, tallest = 0, 0
        for panel in row.panels:
            if left + panel.width > WIDTH:
                left, top, tallest = 0, top + tallest, 0
            number += 1
            place = {"h": panel.height, "w": panel.width, "x": left, "y": top}
            yield {"id": number, **_panel(panel, runbooks), "gridPos": place}
            left, tallest = left + panel.width, max(tallest, panel.height)
        top += tallest


def _panel(panel: Panel, runbooks: str) -> Json:
    link = {"title": f"Runbook: {panel.runbook}", "url": f"{runbooks}/{panel.runbook}.md", "targetBlank": True}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "links": [link] if panel.runbook else [],
        "targets": [_target(index, query, panel) for index, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
    }


def _target(index: int, query: Query, panel: Panel) -> Json:
    return {
        "refId": chr(ord("A") + index),
        "datasource": _SOURCE,
        "expr": query.expression,
        "legendFormat": query.legend or "__auto",
        "exemplar": query.exemplars,
        "instant": panel.kind == "bargauge",
        "range": panel.kind != "bargauge",
    }


def _defaults(panel: Panel) -> Json:
    ascending = [("green", None), ("yellow", panel.target), ("red", panel.alert)]
    # Grafana colours from a value upwards, so where less is worse the colours begin with the worst.
    descending = [("red", None), ("yellow", panel.alert), ("green", panel.target)]
    colours = descending if panel.falling else ascending
    steps = [
        {"color": name, "value": value} for index, (name, value) in enumerate(colours) if not index or value is not None
    ]
    if panel.target is None and panel.alert is None:
        steps = [{"color": "green", "value": None}]
    defaults: Json = {
        "unit": panel.unit,
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": steps},
        "mappings": [],
    }
    if panel.unit in {"percentunit", "short", "bytes", "s", "reqps"}:
        defaults["min"] = 0
    if panel.kind == "timeseries":
        lines = "dashed" if len(steps) > 1 else "off"
        defaults["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 20 if panel.stacked else 0,
            "showPoints": "never",
            "stacking": {"group": "A", "mode": "normal" if panel.stacked else "none"},
            "thresholdsStyle": {"mode": lines},
        }
    return defaults


def _options(panel: Panel) -> Json:
    reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    match panel.kind:
        case "timeseries":
            return {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        case "stat":
            return {"reduceOptions": reduced, "colorMode": "background", "graphMode": "area", "textMode": "auto"}
        case "bargauge":
            return {"reduceOptions": reduced, "orientation": "horizontal", "displayMode": "basic"}
        case "state-timeline":
            return {
                "mergeValues": True,
                "showValue": "never",
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
                "tooltip": {"mode": "multi", "sort": "none"},
            }
        case _:
            raise ValueError(f"no panel is of the kind {panel.kind!r}")


def _data_source() -> Json:
    return {
        "name": "source",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "hide": 0,
        "multi": False,
        "includeAll": False,
        "refresh": 1,
        "regex": "",
        "options": [],
    }


def _firing() -> Json:
    """Marks when alerts fired."""
    return {
        "name": "Alerts",
        "datasource": _SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "red",
        "expr": 'ALERTS{alertstate="firing", product="gaji"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{room}} {{instance}}",
        "step": "60s",
    }

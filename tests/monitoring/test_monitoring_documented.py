"""What the documentation says of figures, and that rules and panels name metrics that there are."""

import re
from typing import Any

from deploy.monitoring.boards import BOARDS, expressions
from deploy.monitoring.boards.overview import OVERVIEW
from tests.monitoring.files import REPOSITORY, metric_of, series_of

_OTHERS = {"up", "ALERTS"}
"""Series that Prometheus makes itself."""
_ROW = re.compile(r"^\| ([A-Za-z][^|]*) \| [^|]* \| [^|]* \| `(\w+)` \| \[(\w+)\][^|]* \| ([^|]+) \|$", re.MULTILINE)
_METRIC = re.compile(r"^\| `([a-z][a-z0-9_]+)` \| (counter|gauge|histogram) \| ([^|]*) \|", re.MULTILINE)
_TARGETS = {"job", "room", "instance", "replica", "le"}
"""Labels that Prometheus gives."""
"""What only a process that exports traces has."""


def read_by(expression: str, recorded: dict[str, str]) -> set[str]:
    """The metrics that an expression reads, through what is recorded; a histogram by its series' names, too."""
    found: set[str] = set()
    for name, _ in series_of(expression):
        found |= read_by(recorded[name], recorded) if name in recorded else {name, metric_of(name)}
    return found


def test_each_of_the_eight_figures_has_a_metric_an_alert_and_a_panel(rules: list[dict[str, Any]]) -> None:
    recorded = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}
    alerts = {rule["alert"]: rule["expr"] for rule in rules if "alert" in rule}
    panels = {panel.title: panel for panel in OVERVIEW.rows[0].panels}
    rows = _ROW.findall((REPOSITORY / "docs" / "monitoring.md").read_text())
    assert len(rows) == 8
    assert {title for *_, title in rows} == set(panels)
    for _, metric, alert, title in rows:
        assert metric in read_by(alerts[alert], recorded), alert
        [query] = panels[title].queries
        assert metric in read_by(query.expression, recorded), title
        assert panels[title].runbook == alert


def test_rules_and_panels_name_metrics_and_labels_that_are_documented(rules: list[dict[str, Any]]) -> None:
    rows = _METRIC.findall((REPOSITORY / "docs" / "metrics.md").read_text())
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, _, labels in rows}
    asked = {"rules": [rule["expr"] for rule in rules]}
    asked |= {board.title: [expression for _, expression in expressions(board)] for board in BOARDS}
    for where, texts in asked.items():
        for text in texts:
            for name, labels in series_of(text):
                if name.startswith("gaji:") or name in _OTHERS:
                    continue
                metric = name if name in documented else metric_of(name)
                assert metric in documented, f"{where}: {text}"
                assert labels <= documented[metric] | _TARGETS, f"{where}: {text}"

"""The dashboards: current, readable for Grafana, and about what there is."""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard

from deploy.monitoring.boards import BOARDS, RUNBOOKS, Board, expressions, rendered
from deploy.monitoring.boards.overview import OVERVIEW
from tests.monitoring.files import MONITORING, series_of

_OF_PROMETHEUS = {"titleFormat", "textFormat", "step"}
"""Fields of an annotation that belong to the data source, which Grafana's own model does not know."""


def lost(written: Any, read: Any, path: str = "") -> Iterator[str]:
    """Where what was written is not in what was read of it."""
    if isinstance(written, dict) and isinstance(read, dict):
        for key, value in written.items():
            if key in read:
                yield from lost(value, read[key], f"{path}.{key}")
            elif value not in ("", [], {}, None, False) and key not in _OF_PROMETHEUS:
                yield f"{path}.{key}"
    elif isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        for index, (one, other) in enumerate(zip(written, read, strict=True)):
            yield from lost(one, other, f"{path}[{index}]")
    elif written != read:
        yield path


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_the_committed_file_is_what_the_table_makes(board: Board) -> None:
    path = MONITORING / "dashboards" / f"{board.name}.json"
    assert path.read_text() == rendered(board, RUNBOOKS), "run python -m deploy.monitoring.boards"


def test_no_other_file_is_there() -> None:
    found = {path.stem for path in (MONITORING / "dashboards").glob("*")}
    assert found == {board.name for board in BOARDS}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_grafana_knows_each_field(board: Board) -> None:
    register_default_plugins()
    written = json.loads(rendered(board, RUNBOOKS))
    read = json.loads(JSONEncoder().encode(dashboard.Dashboard.from_json(written)))
    assert not list(lost(written, read))


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_panels_lie_beside_each_other(board: Board) -> None:
    panels = json.loads(rendered(board, RUNBOOKS))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    for place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
    for one, other in itertools.combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_each_query_parses_and_reads_what_is_recorded(board: Board, rules: list[dict[str, Any]]) -> None:
    recorded = {rule["record"] for rule in rules if "record" in rule}
    for title, expression in expressions(board):
        names = [name for name, _ in series_of(expression)]
        assert names, title
        assert {name for name in names if name.startswith("gaji:")} <= recorded, title


def test_panels_lead_to_pages_that_there_are(runbooks: dict[str, str]) -> None:
    for board in BOARDS:
        for row in board.rows:
            assert {panel.runbook for panel in row.panels if panel.runbook} <= set(runbooks)


def test_the_addresses_of_the_pages_agree() -> None:
    for name in ("prometheus.yml", "prometheus-kubernetes.yml"):
        configuration = yaml.safe_load((MONITORING / name).read_text())
        assert configuration["global"]["external_labels"]["runbooks"] == RUNBOOKS


def test_the_overview_colours_where_alerts_fire(rules: list[dict[str, Any]]) -> None:
    """The eight figures: a panel's red begins where its alert does."""
    alerts = {rule["alert"]: rule["expr"] for rule in rules if rule.get("alert")}
    figures = OVERVIEW.rows[0].panels
    assert len(figures) == 8
    for panel in figures:
        expression = alerts[panel.runbook]
        if panel.runbook == "StreamsAtLimit":  # which compares two metrics
            assert ">= gaji_sse_connections_limit" in expression
            continue
        bound = re.search(r"([<>]) ([\d.]+)", expression)
        assert bound is not None, panel.title
        assert (bound[1] == "<", float(bound[2])) == (panel.falling, panel.alert), panel.title
        read = {name for name, _ in series_of(panel.queries[0].expression)}
        assert read <= {name for name, _ in series_of(expression)}, panel.title


def test_grafana_is_told_where_the_files_are() -> None:
    folder = MONITORING / "grafana" / "provisioning"
    sources = yaml.safe_load((folder / "datasources" / "gaji.yml").read_text())["datasources"]
    assert {source["type"] for source in sources} == {"prometheus", "tempo"}
    [provider] = yaml.safe_load((folder / "dashboards" / "gaji.yml").read_text())["providers"]
    assert Path(provider["options"]["path"]).name == "dashboards"

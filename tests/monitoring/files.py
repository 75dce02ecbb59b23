"""Where the monitoring's files are, what runs them, and what their expressions name."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import pytest

REPOSITORY = Path(__file__).parents[2]
MONITORING = REPOSITORY / "deploy" / "monitoring"
RUNBOOKS = REPOSITORY / "docs" / "runbooks"

_PACKAGES = {
    "promtool": "prometheus",
    "prometheus": "prometheus",
    "amtool": "prometheus-alertmanager",
    "alertmanager": "prometheus-alertmanager",
    "prometheus-alertmanager": "prometheus-alertmanager",
}
_GRAFANA = {"$__rate_interval": "5m"}
_OF_HISTOGRAMS = re.compile(r"_(bucket|sum|count)$")


def program(*names: str) -> str:
    """A program of Prometheus', by the first of its names that is installed; else the test is skipped, and says how."""
    for name in names:
        if found := shutil.which(name):
            return found
    pytest.skip(f"{names[0]} is not installed: apt-get install --no-install-recommends {_PACKAGES[names[0]]}")


def plain(expression: str) -> str:
    """PromQL without Grafana's variables."""
    for variable, value in _GRAFANA.items():
        expression = expression.replace(variable, value)
    return expression


def series_of(expression: str) -> Iterator[tuple[str, frozenset[str]]]:
    """The name of each series that an expression reads, with the labels that it is chosen by.

    Raises:
        ValueError: it does not parse.
    """
    found: list[tuple[str, frozenset[str]]] = []

    def visit(node: object) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            labels = frozenset(matcher.name for matcher in node.matchers.matchers)
            found.append((str(node.name), labels))
        return True

    promql_parser.walk(promql_parser.parse(plain(expression)), visit)
    yield from found


def metric_of(series: str) -> str:
    """The metric that a series is of: a histogram's without ``_bucket``."""
    return _OF_HISTOGRAMS.sub("", series)

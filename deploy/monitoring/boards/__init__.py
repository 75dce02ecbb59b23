"""Grafana's dashboards as a table of panels; ``python -m deploy.monitoring.boards`` writes their JSON.

Grafana's own builders (grafana-foundation-sdk) have a release for each of Grafana's, and make code of about this
length; grafanalib has not followed Grafana since 2024. So the few fields that are needed are written here, and the
tests have Grafana's models read the result (docs/decisions/0031-alerts.md).
"""

from deploy.monitoring.boards.api import API
from deploy.monitoring.boards.breakers import BREAKERS
from deploy.monitoring.boards.database import DATABASE
from deploy.monitoring.boards.grafana import Board, expressions, rendered
from deploy.monitoring.boards.jobs import JOBS
from deploy.monitoring.boards.overview import OVERVIEW
from deploy.monitoring.boards.replies import REPLIES
from deploy.monitoring.boards.streams import SSE
from deploy.monitoring.boards.vectors import VECTORS

BOARDS: tuple[Board, ...] = (OVERVIEW, API, SSE, REPLIES, DATABASE, VECTORS, BREAKERS, JOBS)
RUNBOOKS = "https://docs.example.org/gaji/runbooks"
"""Where panels lead; the same as `external_labels.runbooks` of prometheus.yml."""

__all__ = ["BOARDS", "RUNBOOKS", "Board", "expressions", "rendered"]

"""Spans of a worker. Its children do the jobs, so each has an exporter of its own: no thread survives a fork."""

from typing import Any

from celery.signals import worker_process_init, worker_process_shutdown

from mesh.telemetry.spans import TraceSettings
from mesh.telemetry.spans.export import close_tracing, open_tracing

_CLOSE_SECONDS = 1.0


def trace_children() -> None:
    """Has each child that is born from now on record and export, where the settings say so.

    A child that is killed, as all are when the worker stops, loses what it has not exported yet. That is little: spans
    go out when a job ends.

    Raises:
        ValueError: a setting does not parse.
    """
    settings = TraceSettings.read()
    if not settings.on:
        return

    def born(**_: Any) -> None:
        exporter = open_tracing("worker", settings)

        def dies(**_: Any) -> None:
            close_tracing(exporter, _CLOSE_SECONDS)

        worker_process_shutdown.connect(dies, weak=False)

    worker_process_init.connect(born, weak=False)

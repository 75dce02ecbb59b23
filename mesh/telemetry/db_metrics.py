"""What is counted of databases, named as OpenTelemetry's conventions for their clients say.

https://opentelemetry.io/docs/specs/semconv/db/database-metrics/
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mesh.errors import MeshError
from mesh.telemetry.histogram import Histogram
from mesh.telemetry.metrics import REGISTRY

SECONDS = Histogram(
    "db_client_operation_duration_seconds",
    "Work in a database, from a connection to its being given back: in PostgreSQL what library does in one go, in "
    "Chroma one call. error_type is the error's class, if it is the database's.",
    ("db_system_name", "db_operation_name", "error_type"),
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10),
    registry=REGISTRY,
)
CANCELLED = "cancelled"
"""Whoever wanted it has left."""

_children: dict[tuple[str, str, str], Histogram] = {}


def observe(system: str, operation: str, seconds: float, error_type: str = "") -> None:
    """Counts work that is done.

    Args:
        system: what OpenTelemetry calls the database, e.g. ``postgresql``.
        operation: what was done, one of few words of our own.
        seconds: how long it took.
        error_type: how it failed; empty: it did not.
    """
    key = system, operation, error_type
    try:
        child = _children[key]
    except KeyError:
        child = _children[key] = SECONDS.labels(*key)
    child.observe(seconds)


@contextmanager
def timed(system: str, operation: str) -> Iterator[None]:
    """Counts the block; an error that leaves it is the database's, unless it is a `MeshError`."""
    started = time.perf_counter()
    error_type = ""
    try:
        yield
    except BaseException as error:
        error_type = CANCELLED if isinstance(error, asyncio.CancelledError | GeneratorExit) else type(error).__name__
        if isinstance(error, MeshError):
            error_type = ""
        raise
    finally:
        observe(system, operation, time.perf_counter() - started, error_type)

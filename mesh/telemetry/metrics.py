"""The registry of Prometheus metrics and what every process tells of itself; docs/metrics.md lists them all.

Names are OpenTelemetry's where it has one (gRPC: gRFC A66 and A96; HTTP, databases, models: its semantic conventions),
translated as its compatibility specification says
(https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/); all others begin with ``gaji_``.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

M = TypeVar("M")

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, by which nobody sees anything

REGISTRY = CollectorRegistry()
PROCESS = ProcessCollector(registry=REGISTRY)
"""Memory and the like, read from /proc: for threads."""
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

JWT_KEYS = Gauge("gaji_jwt_keys", "Keys that access tokens are verified with.", registry=REGISTRY)
BUILD = Gauge("gaji_build_info", "1: this process is of this release.", ("process", "version"), registry=REGISTRY)
LOOP_LAG = Gauge(
    "gaji_event_loop_lag_seconds",
    "How long the event loop took to come to a callback, tried at each scrape; 1 is the most that is waited.",
    registry=REGISTRY,
)
LOG_RECORDS = Counter("gaji_log_records_total", "Lines written to the log, by level.", ("level",), registry=REGISTRY)
MEMORY_LIMIT = Gauge(
    "gaji_memory_limit_bytes", "Memory that the process's control group may have; +Inf: no bound.", registry=REGISTRY
)

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_NO_LIMIT = 2**60
"""Version 1 of control groups writes "no limit" as a number near this."""


def memory_limit(files: Sequence[Path] = _LIMITS) -> float:
    """Bytes that the control group of this process may have; infinity: no bound, or it is not known.

    Args:
        files: where versions 2 and 1 of control groups say so.
    """
    for file in files:
        with suppress(OSError, ValueError):
            limit = float(file.read_text().replace("max", "inf"))
            return limit if limit < _NO_LIMIT else math.inf
    return math.inf


MEMORY_LIMIT.set(memory_limit())


def series(metric: M, *labels: str) -> M:
    """The series of a metric: what ``metric.labels(*labels)`` gives, looked up once; for what each reply counts."""
    found: M = _series(metric, labels)
    return found


@lru_cache(maxsize=4096)
def _series(metric: Any, labels: tuple[str, ...]) -> Any:
    return metric.labels(*labels)


def method_name(path: str) -> str:
    """``"/gaji.cache.v1.CacheService/Lookup"`` as the label ``grpc_method`` (gRFC A66): without its first slash."""
    return path[1:]

"""What is told of each process: one line."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from stack.top.samples import Chosen, Scrape, Span, every, quantile

HTTP = "http_server_request_duration_seconds"
GRPC = "grpc_server_call_duration_seconds"
JOB = "gaji_job_seconds"
JOBS = "gaji_jobs_total"
BREAKER = "gaji_breaker_state"
BUILD = "gaji_build_info"
_STARTED = "process_start_time_seconds"
_MEMORY = "process_resident_memory_bytes"
_CPU = "process_cpu_seconds_total"
_LIMIT, _IN_FLIGHT = "gaji_limit", "gaji_limit_in_flight"

WANTED = (HTTP, GRPC, JOB, JOBS, BREAKER, BUILD, _STARTED, _MEMORY, _CPU, _LIMIT)
"""Beginnings of the names that count here."""

_FAILED = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "DATA_LOSS"})
_LOST = frozenset({"failed", "lost", "timeout"})
_LASTING = ("Stream", "Watch", "Regenerate", "EditMessage", "Relay")
_OPEN = frozenset({"open", "forced_open"})
_SHARES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Line:
    """How a process is; None: it does not say, or nothing happened.

    Attributes:
        name: of the process.
        rate: requests, calls or jobs a second.
        percentiles: p50, p95 and p99 of how long they took, in seconds; without streams, which last as long as
            somebody reads.
        errors: the share of them that failed by the process's own fault, of 1.
        in_flight: calls that are being answered.
        limit: how many may be.
        open_breakers: peers whose circuit is open, ``search`` or ``search, library``; empty: none is.
        memory: bytes, resident.
        cpu: cores in use.
        started: when, in Unix time.
    """

    name: str
    rate: float | None = None
    percentiles: tuple[float | None, float | None, float | None] = (None, None, None)
    errors: float | None = None
    in_flight: float | None = None
    limit: float | None = None
    open_breakers: str = ""
    memory: float | None = None
    cpu: float | None = None
    started: float | None = None


def line_of(name: str, span: Span) -> Line:
    """What a process's metrics say of it.

    Args:
        name: what it is called; an address is replaced by what the process calls itself.
        span: the time that it is told of.
    """
    now = span.after
    histogram, answered, failed = _measured(now)
    count = span.increase(answered, _own) if histogram else None
    buckets = span.buckets(histogram, _brief) if histogram else {}
    first, second, third = (quantile(share, buckets) for share in _SHARES)
    return Line(
        name=_named(name, now),
        rate=None if count is None or math.isinf(span.seconds) else count / span.seconds,
        percentiles=(first, second, third),
        errors=(span.increase(answered, failed) or 0.0) / count if count else None,
        in_flight=now.total(_IN_FLIGHT),
        limit=now.total(_LIMIT),
        open_breakers=", ".join(_open(now)),
        memory=now.total(_MEMORY),
        cpu=None if math.isinf(span.seconds) else span.rate(_CPU),
        started=now.total(_STARTED),
    )


def _measured(now: Scrape) -> tuple[str, str, Chosen]:
    """The histogram of a process's work, the counter of it, and which of it failed."""
    if f"{HTTP}_count" in now.values:
        return HTTP, f"{HTTP}_count", lambda labels: labels.get("http_response_status_code", "").startswith("5")
    if JOBS in now.values:
        return JOB, JOBS, lambda labels: labels.get("outcome") in _LOST
    if f"{GRPC}_count" in now.values:
        return GRPC, f"{GRPC}_count", lambda labels: _own(labels) and labels.get("grpc_status") in _FAILED
    return "", "", every


def _own(labels: Mapping[str, str]) -> bool:
    """Whether it is work for others, and not the mesh's own."""
    return not labels.get("grpc_method", "").startswith(("gaji.mesh.", "grpc."))


def _brief(labels: Mapping[str, str]) -> bool:
    """Whether it lasts no longer than it takes."""
    return _own(labels) and not labels.get("grpc_method", "").rpartition("/")[2].startswith(_LASTING)


def _open(now: Scrape) -> list[str]:
    """The peers before which a circuit is open."""
    found = {
        dict(labels).get("peer", "")
        for labels, value in now.values.get(BREAKER, {}).items()
        if value and dict(labels).get("state") in _OPEN
    }
    return sorted(found)


def _named(name: str, now: Scrape) -> str:
    if ":" not in name:
        return name
    told = [dict(labels).get("process", "") for labels in now.values.get(BUILD, {})]
    return f"{told[0]} {name}" if told and told[0] else name

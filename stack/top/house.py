"""What is told of all processes together: the figures that count, with their targets.

The same figures, targets and alerts as in ``deploy/monitoring``.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from stack.top.processes import BREAKER, HTTP
from stack.top.samples import Chosen, Span, every, having, merged, quantile

_READS = "gaji_read_through_total"
_POOL, _POOL_MAX = "db_client_connection_count", "db_client_connection_max"
_STREAMS, _STREAMS_MAX = "gaji_sse_connections", "gaji_sse_connections_limit"
_EVENTS = "gaji_sse_events_total"
_QUEUE, _QUEUE_AGE = "gaji_jobs_queue_length", "gaji_jobs_queue_age_seconds"
_FIRST_TOKEN = "gen_ai_client_operation_time_to_first_chunk_seconds"  # noqa: S105 - a metric of a model's tokens
_TOKENS = "gaji_generation_tokens_total"
_REPLIES, _DEGRADED, _ACTIVE = "gaji_generations_total", "gaji_generations_degraded_total", "gaji_generations_active"

WANTED = (
    *(HTTP, BREAKER, _READS, _POOL, _POOL_MAX, _STREAMS, _EVENTS, _QUEUE, _QUEUE_AGE, _FIRST_TOKEN, _TOKENS),
    *(_REPLIES, _DEGRADED, _ACTIVE),
)
"""Beginnings of the names that count here."""

_HITS = frozenset({"near", "hit", "stale", "absent"})
_OPEN = frozenset({"open", "forced_open"})
_ENDED_WELL = frozenset({"complete", "stopped", "fenced"})

Spans = Sequence[Span]


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the figures.

    Attributes:
        name: what it is.
        value: None: nobody says, or nothing happened.
        unit: ``s``, ``%`` (of 1), ``/s`` or empty.
        target: where the good ends; None: there is no target.
        alert: where an alert fires.
        falling: whether less is worse.
        more: what else is known of it.
    """

    name: str
    value: float | None
    unit: str = ""
    target: float | None = None
    alert: float | None = None
    falling: bool = False
    more: str = ""

    @property
    def state(self) -> str:
        """``good``, ``missed`` (the target), ``alert`` or, where there is nothing to judge by, nothing."""
        if self.value is None or self.target is None or self.alert is None:
            return ""
        sign = -1 if self.falling else 1
        if sign * self.value > sign * self.alert:
            return "alert"
        return "good" if sign * self.value <= sign * self.target else "missed"


def figures_of(spans: Spans) -> list[Figure]:
    """The eight figures of the overview, and what there is besides.

    Args:
        spans: of all processes that answer.
    """
    return [figure(spans) for figure in _FIGURES]


def _latency(spans: Spans) -> Figure:
    counted = merged(span.buckets(HTTP) for span in spans)
    more = _rate_text(spans, f"{HTTP}_count", "requests")
    return Figure("API, p95", quantile(0.95, counted), "s", 0.5, 1.0, more=more)


def _errors(spans: Spans) -> Figure:
    def failed(labels: Mapping[str, str]) -> bool:
        return labels.get("http_response_status_code", "").startswith("5")

    return Figure("errors", _share(spans, f"{HTTP}_count", failed), "%", 0.001, 0.01)


def _breakers(spans: Spans) -> Figure:
    known: dict[str, list[float]] = {}
    for span in spans:
        for labels, value in span.after.values.get(BREAKER, {}).items():
            told = dict(labels)
            counts = known.setdefault(told.get("peer", ""), [0.0, 0.0])
            counts[0] += value if told.get("state") in _OPEN else 0.0
            counts[1] += value
    shares = {peer: open_ / all_ for peer, (open_, all_) in known.items() if all_}
    worst = max(shares, key=lambda peer: shares[peer], default="")
    return Figure(
        "breakers open", shares.get(worst), "%", 0.05, 0.1, more=f"before {worst}" if worst and shares[worst] else ""
    )


def _cache(spans: Spans) -> Figure:
    hits = _share(spans, _READS, lambda labels: labels.get("result") in _HITS)
    return Figure("cache hits", hits, "%", 0.7, 0.5, falling=True, more=_rate_text(spans, _READS, "reads"))


def _pool(spans: Spans) -> Figure:
    pools = []
    for span in spans:
        used, limit = span.after.total(_POOL, having(db_client_connection_state="used")), span.after.total(_POOL_MAX)
        if used is not None and limit:
            pools.append((used, limit))
    worst = max(pools, key=lambda pool: pool[0] / pool[1], default=None)
    more = f"{worst[0]:.0f} of {worst[1]:.0f} connections" if worst else ""
    return Figure("database pool", worst[0] / worst[1] if worst else None, "%", 0.7, 0.9, more=more)


def _streams(spans: Spans) -> Figure:
    places = [
        (used, span.after.total(_STREAMS_MAX) or math.inf)
        for span in spans
        if (used := span.after.total(_STREAMS)) is not None
    ]
    open_ = sum(used for used, _ in places)
    more = f"{open_:,.0f} open, {_total_rate(spans, _EVENTS) or 0:,.1f} events/s"
    share = max((used / limit for used, limit in places), default=None)
    return Figure("streams, of the limit", share, "%", 0.8, 1.0, more=more if places else "")


def _queue(spans: Spans) -> Figure:
    lengths: dict[str, float] = {}
    ages: dict[str, float] = {}
    for name, kept in ((_QUEUE, lengths), (_QUEUE_AGE, ages)):
        for span in spans:
            for labels, value in span.after.values.get(name, {}).items():
                queue = dict(labels).get("queue", "")
                kept[queue] = max(kept.get(queue, 0.0), value)
    told = (
        f"{queue} {length:,.0f}" + (f" for {ages[queue]:,.0f} s" if queue in ages else "")
        for queue, length in lengths.items()
    )
    return Figure("longest queue", max(lengths.values(), default=None), "", 100, 500, more=", ".join(sorted(told)))


def _model(spans: Spans) -> Figure:
    counted = merged(span.buckets(_FIRST_TOKEN) for span in spans)
    tokens = _total_rate(spans, _TOKENS, having(kind="completion"))
    more = "" if tokens is None else f"{tokens:,.1f} tokens/s"
    return Figure("model, first token p95", quantile(0.95, counted), "s", 3.0, 10.0, more=more)


def _replies(spans: Spans) -> Figure:
    def failed(labels: Mapping[str, str]) -> bool:
        return labels.get("outcome") not in _ENDED_WELL

    active = _total(spans, _ACTIVE)
    told = [f"{active:,.0f} being written"] if active is not None else []
    if degraded := sum(span.increase(_DEGRADED) or 0.0 for span in spans):
        told.append(f"{degraded:,.0f} degraded")
    return Figure("replies that fail", _share(spans, _REPLIES, failed), "%", 0.0, 0.05, more=", ".join(told))


_FIGURES: tuple[Callable[[Spans], Figure], ...] = (
    *(_latency, _errors, _breakers, _cache, _pool, _streams, _queue, _model, _replies),
)


def _total(spans: Spans, name: str, chosen: Chosen = every) -> float | None:
    return _sum(span.after.total(name, chosen) for span in spans)


def _total_rate(spans: Spans, name: str, chosen: Chosen = every) -> float | None:
    return _sum(span.rate(name, chosen) for span in spans)


def _share(spans: Spans, name: str, chosen: Chosen) -> float | None:
    """Of what a counter counted, how much is chosen; None: it counted nothing."""
    everything = _sum(span.increase(name) for span in spans)
    return (_sum(span.increase(name, chosen) for span in spans) or 0.0) / everything if everything else None


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _rate_text(spans: Spans, name: str, noun: str) -> str:
    rate = _total_rate(spans, name)
    return "" if rate is None else f"{rate:,.1f} {noun}/s"

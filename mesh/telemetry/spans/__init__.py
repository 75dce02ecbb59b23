"""Spans of OpenTelemetry: recorded here at the cost of a few microseconds, exported over OTLP by a thread.

::

    hooks ── Span ──> Recorder (a bounded queue) ──> Exporter (a thread) ── OTLP ──> a collector, Jaeger, Tempo

Work is recorded through `mesh.telemetry.trace`; this package holds what a span is, how spans are named and how they
leave the process. Nothing that answers readers ever waits for an exporter: what finds the queue full is dropped and
counted.
"""

from mesh.telemetry.spans.export import open_tracing, tracing
from mesh.telemetry.spans.record import Kind, Recorder, Span
from mesh.telemetry.spans.settings import TraceSettings

__all__ = ["Kind", "Recorder", "Span", "TraceSettings", "open_tracing", "tracing"]

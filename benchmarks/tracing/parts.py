"""What one span costs: recorded and encoded here, with OpenTelemetry's messages, and with its SDK."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import grpc
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind

from mesh.telemetry import trace
from mesh.telemetry.spans import Recorder, Span, encode, record
from mesh.telemetry.spans.calls import begin_attempt, end_attempt, end_call, enter_call

COUNT = 2000
_ROUNDS = 11
_PATH = "/gaji.cache.v1.CacheService/Lookup"
_RESOURCE = {"service.name": "gaji-bench", "service.namespace": "gaji"}
_PARENT = f"00-{'a' * 32}-{'b' * 16}-01"


class _Kept(SpanExporter):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Any) -> SpanExportResult:
        """Keeps."""
        self.spans += spans
        return SpanExportResult.SUCCESS


def _ours(recorder: Recorder) -> None:
    ok = grpc.StatusCode.OK
    for _ in range(COUNT):
        span = begin_attempt(_PATH)
        assert span is not None
        end_attempt(span, ok)
    assert len(recorder.queue) == COUNT


def _served(recorder: Recorder) -> None:
    ok = grpc.StatusCode.OK
    for _ in range(COUNT):
        end_call(enter_call(_PATH, "r-1", _PARENT), ok)
    assert len(recorder.queue) == COUNT


def _off(recorder: Recorder) -> None:
    for _ in range(COUNT):
        begin_attempt(_PATH)
    assert not recorder.queue


def _messages(spans: list[Span]) -> bytes:
    """The same as `encode.request`, with the message classes."""
    request = pb.ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    scope.scope.name = encode.SCOPE
    fixed = {"rpc.system.name": "grpc", "rpc.method": _PATH[1:], "server.address": "cache"}
    for span in spans:
        made = scope.spans.add(
            trace_id=bytes.fromhex(span.trace_id),
            span_id=bytes.fromhex(span.span_id),
            parent_span_id=bytes.fromhex(span.parent_id),
            name=span.name,
            kind=int(span.kind),
            start_time_unix_nano=span.started,
            end_time_unix_nano=span.ended,
            flags=1,
        )
        for key, value in {**fixed, **span.attributes}.items():
            made.attributes.add(key=key).value.string_value = str(value)
    return request.SerializeToString()


def _timed(work: Callable[[], Any]) -> float:
    """Microseconds of CPU for each of `COUNT`, the median of the rounds."""
    took = []
    for _ in range(_ROUNDS):
        before = time.process_time()
        work()
        took.append((time.process_time() - before) / COUNT * 1e6)
    return statistics.median(took)


def measure_spans() -> None:
    """Measures and prints."""
    recorder = Recorder(limit=COUNT)
    record.active = recorder

    def fresh(work: Callable[[Recorder], None]) -> Callable[[], None]:
        def run() -> None:
            recorder.queue.clear()
            work(recorder)

        return run

    trace.enter(None, _PARENT, name="bench")
    rows = {"ours: a client's span, recorded": _timed(fresh(_ours))}
    spans = list(recorder.queue)
    resource = encode.resource_of(_RESOURCE)
    rows["ours: encoded"] = _timed(lambda: encode.request(resource, spans))
    rows["the same, with OpenTelemetry's messages"] = _timed(lambda: _messages(spans))
    rows["ours: a server's context and span"] = _timed(fresh(_served))
    record.active = None
    trace.enter()
    rows["ours: off, a client's span"] = _timed(fresh(_off))
    rows["ours: off, a server's context"] = _timed(lambda: [enter_call(_PATH, "r-1", _PARENT) for _ in range(COUNT)])

    kept = _Kept()
    provider = TracerProvider(resource=Resource.create(_RESOURCE), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("bench")

    def sdk() -> None:
        kept.spans.clear()
        for _ in range(COUNT):
            attributes = {"rpc.system.name": "grpc", "rpc.method": _PATH[1:], "server.address": "cache"}
            span = tracer.start_span(_PATH[1:], kind=SpanKind.CLIENT, attributes=attributes)
            span.set_attribute("rpc.response.status_code", "OK")
            span.end()

    rows["SDK: a client's span, recorded"] = _timed(sdk)
    rows["SDK: encoded"] = _timed(lambda: encode_spans(kept.spans).SerializeToString())
    for name, microseconds in rows.items():
        print(f"{name:42} {microseconds:6.2f} us")

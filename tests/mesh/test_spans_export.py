"""Exports to a receiver that is well, slow, down, or does not want them. None of it may hold up whoever records."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb

from mesh.telemetry import metrics
from mesh.telemetry.spans import Kind, Span, TraceSettings, open_tracing, record, tracing
from mesh.telemetry.spans.export import Exporter, close_tracing
from mesh.telemetry.spans.send import EXPORT
from tests.fixtures.otlp import Receiver, spans_in


def make_settings(url: str, **changes: Any) -> TraceSettings:
    return TraceSettings(exporter_otlp_endpoint=url, bsp_schedule_delay=20, **changes)


@contextmanager
def exporting(url: str, **changes: Any) -> Iterator[Exporter]:
    exporter = open_tracing("test", make_settings(url, **changes))
    try:
        yield exporter
    finally:
        close_tracing(exporter)


def some(count: int, exporter: Exporter) -> None:
    for number in range(count):
        Span(exporter.recorder, "ab" * 16, "", f"span {number}", Kind.INTERNAL).end()


def counted(name: str, reason: str = "") -> float:
    labels = {"reason": reason} if reason else {}
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


class Counts:
    """How many spans were exported and dropped since the test began."""

    def __init__(self) -> None:
        self._before = self._now()

    def _now(self) -> tuple[float, float, float]:
        dropped = "gaji_spans_dropped_total"
        return (
            counted("gaji_spans_exported_total"),
            counted(dropped, "queue_full"),
            counted(dropped, "export_failed"),
        )

    @property
    def since(self) -> tuple[float, float, float]:
        """Exported, found the queue full, failed."""
        exported, full, failed = (now - before for now, before in zip(self._now(), self._before, strict=True))
        return exported, full, failed


@pytest.fixture
def counts() -> Counts:
    return Counts()


def test_what_has_ended_goes_out_in_batches(otlp: Receiver, counts: Counts) -> None:
    with exporting(otlp.url, bsp_max_export_batch_size=100, exporter_otlp_headers="x-key=a%20secret") as exporter:
        some(250, exporter)
        otlp.wait_for(lambda: len(otlp.spans()) == 250)
    assert [span.name for span in otlp.spans()] == [f"span {number}" for number in range(250)]
    assert {span.service for span in otlp.spans()} == {"gaji-test"}
    assert otlp.headers["x-key"] == "a secret"
    assert otlp.headers["content-type"] == "application/x-protobuf"
    assert otlp.posts >= 3
    assert counts.since == (250, 0, 0)


def test_the_end_of_a_process_takes_the_last_spans_along(otlp: Receiver, counts: Counts) -> None:
    changes = {"exporter_otlp_compression": "gzip", "service_name": "mine", "resource_attributes": "a=b,service.name=x"}
    with tracing("test", make_settings(otlp.url, **changes).model_copy(update={"bsp_schedule_delay": 60_000})):
        assert record.active is not None
        Span(record.active, "ab" * 16, "", "work", Kind.INTERNAL).end()
        assert not otlp.posts
    assert [(span.service, span.name) for span in otlp.spans()] == [("mine", "work")]
    assert record.active is None
    assert counts.since == (1, 0, 0)


def test_a_receiver_that_is_down_costs_spans_and_nothing_else(counts: Counts) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with exporting(url, bsp_max_queue_size=50, bsp_max_export_batch_size=10) as exporter:
            some(1000, exporter)
            assert len(exporter.recorder.queue) <= 50
            exporter.close(0.2)
    exported, full, failed = counts.since
    assert exported == 0
    assert full + failed == 1000
    assert full >= 900


def test_a_receiver_that_does_not_answer_is_not_waited_for(otlp: Receiver, counts: Counts) -> None:
    otlp.gate.clear()
    with exporting(otlp.url, bsp_max_queue_size=50, bsp_max_export_batch_size=10) as exporter:
        some(10, exporter)
        otlp.wait_for(lambda: otlp.posts == 1)
        some(1000, exporter)
        assert len(exporter.recorder.queue) == 50
        exporter.close(0.05)
        assert counts.since == (0, 950, 50)
        otlp.gate.set()


def test_a_refusal_that_may_pass_is_followed_by_another_try(otlp: Receiver, counts: Counts) -> None:
    otlp.answer = lambda post: (503, b"") if post < 3 else (200, b"")
    with exporting(otlp.url) as exporter:
        some(5, exporter)
        otlp.wait_for(lambda: len(otlp.spans()) == 5)
    assert otlp.posts == 3
    assert counts.since == (5, 0, 0)


def test_what_is_refused_for_good_is_dropped_and_the_next_goes_out(otlp: Receiver, counts: Counts) -> None:
    otlp.answer = lambda post: (400, b"") if post == 1 else (200, b"")
    with exporting(otlp.url) as exporter:
        some(5, exporter)
        otlp.wait_for(lambda: otlp.posts == 1)
        some(3, exporter)
        otlp.wait_for(lambda: len(otlp.spans()) == 3)
    assert counts.since == (3, 0, 5)


def test_spans_that_a_receiver_rejects_are_counted(otlp: Receiver, counts: Counts) -> None:
    said = pb.ExportTraceServiceResponse(partial_success=pb.ExportTracePartialSuccess(rejected_spans=2))
    otlp.answer = lambda _: (200, said.SerializeToString())
    with exporting(otlp.url) as exporter:
        some(5, exporter)
    assert counts.since == (3, 0, 2)


def test_a_span_that_cannot_be_encoded_costs_its_batch_alone(otlp: Receiver, counts: Counts) -> None:
    with exporting(otlp.url) as exporter:
        span = Span(exporter.recorder, "no hexadecimal number", "", "x", Kind.INTERNAL)
        span.end()
        otlp.wait_for(lambda: counts.since[2] == 1)
        some(1, exporter)
    assert counts.since == (1, 0, 1)


def test_over_grpc(counts: Counts) -> None:
    bodies: list[bytes] = []
    seen: list[dict[str, Any]] = []

    def export(body: bytes, context: Any) -> bytes:
        bodies.append(body)
        seen.append(dict(context.invocation_metadata()))
        if len(bodies) == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "later")
        return b""

    service, _, method = EXPORT[1:].partition("/")
    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads)
        handlers: dict[str, Any] = {method: grpc.unary_unary_rpc_method_handler(export)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            changes = {"exporter_otlp_protocol": "grpc", "exporter_otlp_headers": "X-Key=1"}
            with exporting(f"http://127.0.0.1:{port}", **changes) as exporter:
                some(4, exporter)
        finally:
            server.stop(0).wait()
    assert [span.name for span in spans_in(bodies[-1])] == [f"span {number}" for number in range(4)]
    assert seen[-1]["x-key"] == "1"
    assert len(bodies) == 2
    assert counts.since == (4, 0, 0)


@pytest.mark.parametrize(
    ("environment", "on"),
    [
        ({}, False),
        ({"ENDPOINT": "http://c:4318"}, True),
        ({"TRACES_ENDPOINT": "http://c:4318/x"}, True),
        ({"ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_nothing_is_recorded_unless_somebody_wants_it(
    environment: dict[str, str], on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name if name.startswith("OTEL") else f"OTEL_EXPORTER_OTLP_{name}", value)
    assert TraceSettings.read().on is on


def test_settings_bear_opentelemetrys_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318/base/")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x, b=2")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.25")
    settings = TraceSettings.read()
    assert settings.endpoint == "https://collector:4318/base/v1/traces"
    assert settings.headers == {"authorization": "Bearer x", "b": "2"}
    assert (settings.ratio, settings.obeys) == (0.25, True)
    assert "Bearer" not in repr(settings)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    assert (TraceSettings.read().ratio, TraceSettings.read().obeys) == (0.0, False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"bad settings: {name}: ") as caught:
        TraceSettings.read()
    assert "hunter2" not in str(caught.value)

"""Takes spans out of the process, in a thread of its own."""

import logging
import os
import platform
import random
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from prometheus_client import Counter, Gauge

from mesh.telemetry.metrics import REGISTRY
from mesh.telemetry.spans import encode, record
from mesh.telemetry.spans.record import Recorder, Span
from mesh.telemetry.spans.send import NotSentError, Sender, sender_of
from mesh.telemetry.spans.settings import TraceSettings, pairs

log = logging.getLogger(__name__)

STOP_SECONDS = 2.0
"""How long the end of a process may wait for its last spans to be taken."""
_BACKOFF_SECONDS = (0.25, 5.0)
_TELL_EVERY = 60.0

EXPORTED = Counter("gaji_spans_exported_total", "Spans that the receiver has taken.", registry=REGISTRY)
DROPPED = Counter(
    "gaji_spans_dropped_total",
    "Spans lost: queue_full, there was no place for them; export_failed, the receiver would not have them in time.",
    ("reason",),
    registry=REGISTRY,
)
QUEUED = Gauge("gaji_spans_queued", "Spans that wait for their export.", registry=REGISTRY)
QUEUED.set_function(lambda: 0 if record.active is None else len(record.active.queue))
_FULL, _FAILED = DROPPED.labels("queue_full"), DROPPED.labels("export_failed")


class Exporter:
    """A recorder's thread: sends what has ended every second, and at once when there is much.

    A receiver that is down, slow or refuses is tried again for a while, and asked for less and less often; meanwhile
    the queue fills, and what finds no place is dropped and counted. None waits for it but `close`, for a bounded time.

    Args:
        settings: where to, how much at once.
        resource: who says it (`mesh.telemetry.spans.encode.resource_of`).
        sender: the way there.

    Attributes:
        recorder: what to record into.
    """

    def __init__(self, settings: TraceSettings, resource: bytes, sender: Sender) -> None:
        self._resource = resource
        self._sender = sender
        self._batch = settings.bsp_max_export_batch_size
        self._delay = settings.bsp_schedule_delay / 1000
        self._post_seconds = settings.exporter_otlp_timeout / 1000
        self._give_up_seconds = settings.bsp_export_timeout / 1000
        self._news = threading.Event()
        self._closing = threading.Event()
        self._until = float("inf")
        self._counted = 0
        self._told_at = float("-inf")
        limit = settings.bsp_max_queue_size
        self.recorder = Recorder(
            settings.ratio, obeys=settings.obeys, limit=limit, batch=min(self._batch, limit), wake=self._news.set
        )
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def close(self, seconds: float = STOP_SECONDS) -> None:
        """Sends what is left, for at most so many seconds; blocks."""
        self._until = time.monotonic() + seconds
        self._closing.set()
        self._news.set()
        self._thread.join(seconds)
        self._count_dropped()
        while left := self._taken():  # there was no time for these
            _FAILED.inc(len(left))

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._news.wait(self._delay)
                self._news.clear()
                self._drain()
            self._drain()
        finally:
            self._sender.close()

    def _drain(self) -> None:
        """Sends all that has ended by now, in batches."""
        for _ in range(1 + len(self.recorder.queue) // self._batch):
            if spans := self._taken():
                self._deliver(spans)
        self._count_dropped()

    def _taken(self) -> list[Span]:
        """A batch out of the queue, which another thread may empty as well."""
        spans: list[Span] = []
        with suppress(IndexError):
            while len(spans) < self._batch:
                spans.append(self.recorder.queue.popleft())
        return spans

    def _deliver(self, spans: list[Span]) -> None:
        """Sends a batch, again where that may help."""
        give_up = time.monotonic() + self._give_up_seconds
        pause, longest = _BACKOFF_SECONDS
        try:
            body = encode.request(self._resource, spans)
        except Exception:  # a span that holds what is no value costs its batch, not the thread
            _FAILED.inc(len(spans))
            log.exception("spans cannot be encoded")
            return
        while True:
            until = min(give_up, self._until)
            left = until - time.monotonic()
            if left <= 0:
                _FAILED.inc(len(spans))
                return
            try:
                refused = min(len(spans), encode.rejected(self._sender.send(body, min(left, self._post_seconds))))
            except NotSentError as error:
                again = max(error.retry_after or 0.0, pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
                if not error.again or time.monotonic() + again >= until:
                    _FAILED.inc(len(spans))
                    self._tell(str(error), len(spans))
                    return
                if self._closing.is_set():
                    time.sleep(again)
                else:
                    self._closing.wait(again)
                self._count_dropped()
                pause = min(2 * pause, longest)
            except Exception:  # a header that no request can have: it costs batches, not the thread
                _FAILED.inc(len(spans))
                log.exception("spans cannot be sent")
                return
            else:
                EXPORTED.inc(len(spans) - refused)
                if refused:
                    _FAILED.inc(refused)
                return

    def _count_dropped(self) -> None:
        dropped = self.recorder.dropped
        _FULL.inc(dropped - self._counted)
        self._counted = dropped

    def _tell(self, error: str, spans: int) -> None:
        now = time.monotonic()
        if now - self._told_at >= _TELL_EVERY:
            self._told_at = now
            log.warning("spans are lost", extra={"error": error, "spans": spans, "dropped": self.recorder.dropped})


def open_tracing(process: str, settings: TraceSettings) -> Exporter:
    """Begins to record and export; end with `close_tracing`.

    Args:
        process: its name, e.g. ``search``.
        settings: with an endpoint.

    Raises:
        OSError: the file of authorities cannot be read.
    """
    exporter = Exporter(settings, encode.resource_of(resource(process, settings)), sender_of(settings))
    exporter.start()
    record.active = exporter.recorder
    return exporter


def close_tracing(exporter: Exporter, seconds: float = STOP_SECONDS) -> None:
    """Records no more, and sends what is left within so many seconds; blocks."""
    if record.active is exporter.recorder:
        record.active = None
    exporter.close(seconds)


@contextmanager
def tracing(process: str, settings: TraceSettings | None = None) -> Iterator[None]:
    """Records and exports spans while the block lasts, where the settings say so; leaving blocks for `STOP_SECONDS`.

    Args:
        process: its name.
        settings: None: those of the environment.

    Raises:
        ValueError: a variable does not parse.
        OSError: the file of authorities cannot be read.
    """
    settings = settings or TraceSettings.read()
    if not settings.on:
        yield
        return
    exporter = open_tracing(process, settings)
    log.info("recording spans", extra={"sampler": settings.traces_sampler, "ratio": settings.ratio})
    try:
        yield
    finally:
        close_tracing(exporter)


def resource(process: str, settings: TraceSettings) -> dict[str, record.Value]:
    """Who says it (https://opentelemetry.io/docs/specs/semconv/resource/)."""
    named = {"service.name": settings.service_name} if settings.service_name else {}
    return {
        "service.name": f"gaji-{process}",
        "service.namespace": "gaji",
        "service.instance.id": str(uuid.uuid4()),
        "host.name": platform.node(),
        "process.pid": os.getpid(),
        "telemetry.sdk.name": "gaji",
        "telemetry.sdk.language": "python",
        **pairs(settings.resource_attributes),
        **named,
    }

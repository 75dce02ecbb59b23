"""Spans while they are recorded, and the queue in which they wait for their export."""

from collections import deque
from collections.abc import Callable, Mapping
from enum import IntEnum
from random import getrandbits, random
from time import time_ns
from typing import TypeAlias

Value: TypeAlias = str | bool | int | float
Attributes: TypeAlias = Mapping[str, Value]
Event: TypeAlias = tuple[int, str, Attributes | None]
"""When (nanoseconds since the epoch), what, and more about it."""

MOST_EVENTS = 128
"""Events of one span; more are counted and dropped (the default of OTEL_SPAN_EVENT_COUNT_LIMIT)."""
_SAMPLED = "13579bdf"


class Kind(IntEnum):
    """What a span is of; the numbers are OTLP's."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


def new_trace_id() -> str:
    """128 random bits in hexadecimal. They name things and guard nothing, so they need not be unpredictable."""
    return f"{getrandbits(128):032x}"


def new_span_id() -> str:
    """Likewise, 64 bits."""
    return f"{getrandbits(64):016x}"


def is_sampled(flags: str) -> bool:
    """Whether two hexadecimal digits of W3C trace flags say that the trace is sampled."""
    return flags[1] in _SAMPLED


class Span:
    """Something that takes time. It is exported once it has ended; one that never ends is not.

    Args:
        recorder: takes it at its end.
        trace_id: 32 hexadecimal digits.
        parent_id: 16 hexadecimal digits; empty: it is a root.
        name: low-cardinality, e.g. ``gaji.cache.v1.CacheService/Lookup``.
        kind: what it is of.
        fixed: attributes that all spans of the place have, encoded (`mesh.telemetry.spans.encode.encoded`).

    Attributes:
        span_id: its own id.
        started, ended: nanoseconds since the epoch; 0: not yet.
        attributes: more about it: set what you like, but no text of a reader's and no secret.
        failed: whether its status is ERROR.
    """

    __slots__ = (
        "attributes",
        "ended",
        "events",
        "failed",
        "fixed",
        "kind",
        "links",
        "lost_events",
        "name",
        "parent_id",
        "recorder",
        "span_id",
        "started",
        "trace_id",
    )

    def __init__(  # noqa: PLR0917 - made for each call, and keywords cost time
        self, recorder: "Recorder", trace_id: str, parent_id: str, name: str, kind: Kind, fixed: bytes = b""
    ) -> None:
        self.recorder = recorder
        self.trace_id = trace_id
        self.span_id = f"{getrandbits(64):016x}"
        self.parent_id = parent_id
        self.name = name
        self.kind = kind
        self.fixed = fixed
        self.started = time_ns()
        self.ended = 0
        self.attributes: dict[str, Value] = {}
        self.events: list[Event] | None = None
        self.links: list[tuple[str, str]] | None = None
        self.lost_events = 0
        self.failed = False

    @property
    def traceparent(self) -> str:
        """The header for what is asked on its behalf."""
        return f"00-{self.trace_id}-{self.span_id}-01"

    def event(self, name: str, attributes: Attributes | None = None, at: int = 0) -> None:
        """Notes that something happened, now or at a time in nanoseconds since the epoch."""
        events = self.events
        if events is None:
            events = self.events = []
        if len(events) < MOST_EVENTS:
            events.append((at or time_ns(), name, attributes))
        else:
            self.lost_events += 1

    def link(self, trace_id: str, span_id: str) -> None:
        """Points to a span of which it is no child."""
        if self.links is None:
            self.links = []
        self.links.append((trace_id, span_id))

    def fail(self, error_type: str) -> None:
        """Its status becomes ERROR; ``error_type`` is one of few words: a reason, a status, a class of errors."""
        self.failed = True
        self.attributes["error.type"] = error_type

    def end(self) -> None:
        """It has ended, now; the first end counts."""
        if not self.ended:
            self.ended = time_ns()
            self.recorder.put(self)


class Recorder:
    """Keeps ended spans until the exporter takes them, and decides which traces are sampled.

    Args:
        ratio: of the traces that begin here, 0 to 1.
        obeys: whether a caller's decision counts (``parentbased_*``).
        limit: how many spans may wait; more are dropped.
        batch: how many are worth an export before its time.
        wake: called when so many wait.

    Attributes:
        queue: ended spans, oldest first.
        dropped: how many found no place so far.
    """

    def __init__(
        self,
        ratio: float = 1.0,
        *,
        obeys: bool = True,
        limit: int = 8192,
        batch: int = 512,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.queue: deque[Span] = deque()
        self.dropped = 0
        self._ratio = ratio
        self._bound = round(ratio * 2**64)
        self._obeys = obeys
        self._limit = limit
        self._batch = batch
        self._wake = wake

    def put(self, span: Span) -> None:
        """Takes an ended span, from any thread; never waits."""
        queue = self.queue
        if len(queue) >= self._limit:
            self.dropped += 1
            return
        queue.append(span)
        if len(queue) == self._batch:
            self._wake()

    def hurry(self) -> None:
        """Has what has ended exported without waiting for more: nobody knows how long the process lives."""
        self._wake()

    def samples(self, trace_id: str, flags: str | None, *, heard: bool = True) -> bool:
        """Whether a trace is recorded here.

        Args:
            trace_id: its id.
            flags: what the caller has decided, as in ``traceparent``; None: the trace begins here.
            heard: whether the caller may decide. One who may not is drawn for anew, not by the id that he chose: there
                are ids that every ratio takes.
        """
        if flags is None or not heard:
            return random() < self._ratio  # noqa: S311 - it draws a sample
        if self._obeys:
            return is_sampled(flags)
        # By the id, so that all hops agree (the algorithm of TraceIdRatioBased in OpenTelemetry's SDK for Python).
        return int(trace_id[16:], 16) < self._bound


active: Recorder | None = None
"""The process's recorder; None: nothing is recorded. Set by `mesh.telemetry.spans.tracing`."""

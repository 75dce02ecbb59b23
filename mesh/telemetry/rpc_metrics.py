"""What is counted of calls: OpenTelemetry's metrics for gRPC (gRFC A66) and its retries (A96), and what they lack.

Of each method there is one object, found once, that holds its series. Of A66 the sizes of messages are left out: they
are those of compressed messages, which only gRPC's core sees; and of A96 transparent retries, which it makes by itself,
and hedges, which nobody makes here.
"""

from collections.abc import Iterable, Iterator

import grpc
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from mesh.telemetry.histogram import Histogram
from mesh.telemetry.metrics import REGISTRY, method_name

# fmt: off
LATENCIES = (
    0, 0.00001, 0.00005, 0.0001, 0.0003, 0.0006, 0.0008, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01, 0.013,
    0.016, 0.02, 0.025, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8, 1, 2, 5,
    10, 20, 50, 100,
)
# fmt: on
"""The buckets that A66 names, in seconds."""
OTHER = "other"
"""How A66 calls methods that are not offered: whoever asks may make them up."""
_RETRIES = (1, 2, 3, 4, 5)

SERVER_SECONDS = Histogram(
    "grpc_server_call_duration_seconds",
    "Calls that were answered: from request to status. Of streams too, which last as long as they last.",
    ("grpc_method", "grpc_status"),
    buckets=LATENCIES,
    registry=REGISTRY,
)
FIRST_MESSAGE_SECONDS = Histogram(
    "gaji_rpc_first_message_seconds",
    "Streams that were answered: from request to the first message.",
    ("grpc_method",),
    buckets=LATENCIES,
    registry=REGISTRY,
)
ATTEMPT_SECONDS = Histogram(
    "grpc_client_attempt_duration_seconds",
    "Attempts of calls to peers: from request to status.",
    ("grpc_method", "grpc_target", "grpc_status"),
    buckets=LATENCIES,
    registry=REGISTRY,
)
CALL_SECONDS = Histogram(
    "grpc_client_call_duration_seconds",
    "Calls to peers, all their attempts and the pauses between them.",
    ("grpc_method", "grpc_target", "grpc_status"),
    buckets=LATENCIES,
    registry=REGISTRY,
)
CALL_RETRIES = Histogram(
    "grpc_client_call_retries",
    "How often a call to a peer was made again; calls that were not are not in it.",
    ("grpc_method", "grpc_target"),
    buckets=_RETRIES,
    registry=REGISTRY,
)
CALL_RETRY_DELAY = Histogram(
    "grpc_client_call_retry_delay_seconds",
    "How long a call that was made again waited between its attempts, in all.",
    ("grpc_method", "grpc_target"),
    buckets=LATENCIES,
    registry=REGISTRY,
)


class Served:
    """What is counted of one method that this process answers.

    Its numbers are read when Prometheus asks. They are added to without a lock: a server has one thread, and elsewhere
    CPython does not change threads between reading and writing a number.

    Args:
        method: the label.
    """

    __slots__ = ("_ended", "_first", "_method", "in_flight", "messages", "started")

    def __init__(self, method: str) -> None:
        self._method = method
        self._ended: dict[grpc.StatusCode, Histogram] = {}
        self._first: Histogram | None = None
        self.started = self.in_flight = self.messages = 0

    def begin(self) -> None:
        """A call is being answered."""
        self.started += 1
        self.in_flight += 1

    def end(self, code: grpc.StatusCode, seconds: float) -> None:
        """It has been."""
        self.in_flight -= 1
        self._observe(code, seconds)

    def refused(self, code: grpc.StatusCode, seconds: float) -> None:
        """A call was refused before it began."""
        self.started += 1
        self._observe(code, seconds)

    def streamed(self, first_seconds: float, messages: int) -> None:
        """A stream has ended that had messages, the first after so many seconds."""
        if self._first is None:
            self._first = FIRST_MESSAGE_SECONDS.labels(self._method)
        self._first.observe(first_seconds)
        self.messages += messages

    def _observe(self, code: grpc.StatusCode, seconds: float) -> None:
        try:
            ended = self._ended[code]
        except KeyError:
            ended = self._ended[code] = SERVER_SECONDS.labels(self._method, code.name)
        ended.observe(seconds)


class Called:
    """What is counted of the calls of one method to one target; as for `Served`, without a lock.

    Args:
        method: the label.
        target: likewise.
    """

    __slots__ = ("_ended", "_labels", "started")

    def __init__(self, method: str, target: str) -> None:
        self._labels = method, target
        self._ended: dict[grpc.StatusCode, tuple[Histogram, Histogram]] = {}
        self.started = 0

    def attempted(self, code: grpc.StatusCode, seconds: float) -> Histogram:
        """An attempt has ended.

        Returns:
            Where its call's time belongs, if it was the last one.
        """
        try:
            attempt, call = self._ended[code]
        except KeyError:
            labels = (*self._labels, code.name)
            attempt, call = self._ended[code] = ATTEMPT_SECONDS.labels(*labels), CALL_SECONDS.labels(*labels)
        attempt.observe(seconds)
        return call

    def ended(self, code: grpc.StatusCode, seconds: float, retries: int, delay: float) -> None:
        """A call has ended that was, or could have been, made again.

        Args:
            code: how.
            seconds: from its beginning to its end.
            retries: how often it was made again.
            delay: seconds between its attempts, in all.
        """
        CALL_SECONDS.labels(*self._labels, code.name).observe(seconds)
        self.repeated(retries, delay)

    def repeated(self, retries: int, delay: float) -> None:
        """A call has ended that was made again so often."""
        if retries:
            CALL_RETRIES.labels(*self._labels).observe(retries)
            CALL_RETRY_DELAY.labels(*self._labels).observe(delay)


_served: dict[str, Served] = {}
_called: dict[tuple[str, str], Called] = {}


def served(path: str) -> Served:
    """What is counted of a method that this process offers, by its path; ask for no others."""
    try:
        return _served[path]
    except KeyError:
        return _served.setdefault(path, Served(method_name(path)))


def not_offered() -> None:
    """A call of a method came that is not offered."""
    served(f"/{OTHER}").refused(grpc.StatusCode.UNIMPLEMENTED, 0.0)


def called(path: str, target: str) -> Called:
    """What is counted of the calls of a method, by its path, to a target as it is in the settings."""
    key = path, target
    return _called.get(key) or _called.setdefault(key, Called(method_name(path), target))


class _Numbers(Collector):
    def describe(self) -> Iterable[Metric]:
        return self._families()

    def collect(self) -> Iterator[Metric]:
        started, in_flight, sent, attempts = families = self._families()
        for path, one in list(_served.items()):
            method = [method_name(path)]
            started.add_metric(method, one.started)
            in_flight.add_metric(method, one.in_flight)
            sent.add_metric(method, one.messages)
        for (path, target), calls in list(_called.items()):
            attempts.add_metric([method_name(path), target], calls.started)
        yield from families

    @staticmethod
    def _families() -> tuple[CounterMetricFamily, GaugeMetricFamily, CounterMetricFamily, CounterMetricFamily]:
        method = ("grpc_method",)
        return (
            CounterMetricFamily("grpc_server_call_started", "Calls that came.", labels=method),
            GaugeMetricFamily("gaji_rpc_in_flight", "Calls being answered.", labels=method),
            CounterMetricFamily("gaji_rpc_messages_sent", "Messages of streams that have ended.", labels=method),
            CounterMetricFamily(
                "grpc_client_attempt_started",
                "Attempts of calls to peers that were begun.",
                labels=("grpc_method", "grpc_target"),
            ),
        )


REGISTRY.register(_Numbers())

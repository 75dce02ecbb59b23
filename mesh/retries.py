"""When a call to a peer is made again, and after how long.

Repeated are calls that may be (``idempotency_level`` in the contract), of which nothing has come yet, and which ended
with UNAVAILABLE: the status that gRPC itself gives to a peer that cannot be reached, and the only one that is safe to
repeat without knowing the call (https://google.aip.dev/194). A peer that is stopped in the middle of one may reset its
stream instead, which gRPC calls CANCELLED though nobody has cancelled it; that is the same. RESOURCE_EXHAUSTED and
ABORTED are handed up: a peer that sheds load is not helped by more of it, and what lost a race is to be repeated as a
whole. So is what a peer says of a peer of its own (`mesh.errors.PEER`): who stood nearer has tried again already, and
retries of retries multiply.
"""

import random
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import grpc
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from prometheus_client import Counter

from mesh.errors import PEER, from_rpc_error
from mesh.limiter import stamp
from mesh.telemetry import trace
from mesh.telemetry.metrics import REGISTRY, method_name

ATTEMPTS = 4
"""How often a call is made at most."""
SHORTEST, LONGEST = 0.1, 1.0
"""The ceiling of the first pause and of all of them, in seconds."""
PREVIOUS_ATTEMPTS = "x-previous-rpc-attempts"
"""The metadata that says how many attempts went before. gRFC A6 calls it grpc-previous-rpc-attempts, but that name is
C-core's own: while its transparent retries are on, it takes away what an application sets."""
_PUSHBACK = "grpc-retry-pushback-ms"
_METHOD = ("grpc_method",)
_RESET = "CANCELLED"
"""What C-core says of a stream that was reset with CANCEL, without a word of the peer's."""

RETRIES = Counter("gaji_client_retries", "Calls made again, each attempt after the first.", _METHOD, registry=REGISTRY)
REFUSED = Counter(
    "gaji_client_retries_refused",
    "Calls that were not made again because the budget was spent.",
    _METHOD,
    registry=REGISTRY,
)


def backoff(retry: int, random_: Callable[[], float] = random.random) -> float:
    """Seconds before a repetition, the first being 0: exponential, with full jitter.

    Anything from nothing to the ceiling, which doubles: of the ways to spread repetitions this one makes the least load
    (M. Brooker, "Exponential Backoff And Jitter",
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """
    return random_() * min(LONGEST, SHORTEST * float(2 ** min(retry, 10)))


def pause_after(error: grpc.aio.AioRpcError, retry: int) -> float | None:
    """Seconds after which a failed call may be made again; None: it may not.

    A server's own word goes first: ``grpc-retry-pushback-ms`` (gRFC A6: so many milliseconds exactly; negative or no
    number: never), then `google.rpc.RetryInfo`, which says how long at least.

    Args:
        error: how it failed.
        retry: how often it has been made again so far.
    """
    lost = error.code() is grpc.StatusCode.UNAVAILABLE
    reset = error.code() is grpc.StatusCode.CANCELLED and error.details() == _RESET
    if not (lost or reset) or retry >= ATTEMPTS - 1:
        return None
    for key, value in error.trailing_metadata() or ():
        if key == _PUSHBACK:
            text = value if isinstance(value, str) else value.decode("ascii", "replace")
            return int(text) / 1000 if text.isascii() and text.isdigit() else None
    told = from_rpc_error(error)
    if PEER in told.metadata:
        return None
    return backoff(retry) + (told.retry_after or 0.0)


def note_retry(path: str) -> None:
    """Counts a repetition of a method, given by its path: as a metric, and on the running call's span."""
    RETRIES.labels(method_name(path)).inc()
    trace.count("rpc.retries")


def retried_methods(services: Sequence[ServiceDescriptor]) -> frozenset[str]:
    """The paths of the methods that may be made again: of unary requests, with an ``idempotency_level``."""
    return frozenset(
        f"/{service.full_name}/{method.name}"
        for service in services
        for method in service.methods
        if may_be_repeated(method)
    )


def may_be_repeated(method: MethodDescriptor) -> bool:
    """Whether to make a call of a method twice is the same as once, and its request is at hand to do so."""
    level = method.GetOptions().idempotency_level
    return not method.client_streaming and level != descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN


class RetryBudget:
    """Bounds the load that retries add to a peer that is in trouble.

    A retry is granted when, in the ten seconds up to it, retries (itself among them) are at most a fifth of the calls
    that were made for the first time in these ten seconds, or `minimum`, whichever is more. So up to any retry the
    extra load is at most 20 % wherever there are at least five calls for each of `minimum`; a channel with fewer calls
    may make `minimum` retries in ten seconds, or it could make none. A window that is laid so that calls fall out of it
    and only their retries are left in it shows more: retries in it are still at most a fifth of the calls of the twenty
    seconds up to its end.

    As in Finagle's RetryBudget (https://finagle.github.io/blog/2016/02/08/retry-budgets: 20 %, tokens live for 10 s, 10
    a second on top) and Envoy's retry_budget (20 % of active requests, at least 3). Unlike a token bucket that fills up
    in good times, one second of outage cannot spend what ten minutes have saved.

    Counts are kept in slots of a quarter second, rounded against retries: a slot that only half lies in the window
    counts for retries and not for calls. Memory and the cost of a call do not depend on the load.

    Args:
        ratio: retries per first attempt.
        window: in seconds.
        minimum: retries in a window that are always granted.
        clock: monotonic seconds.
    """

    _SLOTS = 40

    def __init__(
        self,
        ratio: float = 0.2,
        window: float = 10.0,
        minimum: int = 3,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ratio = ratio
        self._minimum = minimum
        self._clock = clock
        self._width = window / self._SLOTS
        self._now = 0  # the number of the slot that is being filled
        size = self._SLOTS + 1  # the window begins within one slot and ends within another
        self._calls = [0] * size
        self._retries = [0] * size

    def called(self) -> None:
        """A call is made for the first time."""
        self._calls[self._slot()] += 1

    def take(self) -> bool:
        """Whether a retry is granted; it counts then."""
        slot = self._slot()
        oldest = (slot + 1) % len(self._calls)
        calls = sum(self._calls) - self._calls[oldest]
        if sum(self._retries) >= max(self._minimum, int(calls * self._ratio)):
            return False
        self._retries[slot] += 1
        return True

    def _slot(self) -> int:
        now, size = int(self._clock() / self._width), len(self._calls)
        if now > self._now:
            for passed in range(max(self._now + 1, now - size + 1), now + 1):
                self._calls[passed % size] = self._retries[passed % size] = 0
            self._now = now
        return self._now % size


class Retries:
    """What a channel may make again.

    Args:
        methods: their paths.
        budget: how much of it.
    """

    def __init__(self, methods: Collection[str], budget: RetryBudget) -> None:
        self.methods = methods
        self.budget = budget

    def pause(self, path: str, error: grpc.aio.AioRpcError, retry: int, left: float) -> float | None:
        """Seconds until the call is made again; None: it is not.

        Args:
            path: of the method.
            error: how it failed.
            retry: how often it has been made again so far.
            left: seconds until its deadline. A pause that does not fit is not begun.
        """
        pause = pause_after(error, retry)
        if pause is None or pause >= left:
            return None
        if not self.budget.take():
            REFUSED.labels(method_name(path)).inc()
            return None
        return pause


def with_previous(metadata: Sequence[tuple[str, Any]], retry: int) -> Sequence[tuple[str, Any]]:
    """The metadata of an attempt: the server learns how many went before it, and when this one was sent."""
    if not retry:
        return metadata
    sent = stamp(time.monotonic())
    kept = (entry for entry in metadata if entry[0] != sent[0])
    return (*kept, sent, (PREVIOUS_ATTEMPTS, str(retry)))

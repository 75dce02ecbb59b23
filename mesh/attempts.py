"""How the calls of a method are made, and what is recorded at the end of each attempt: for `mesh.calls`."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import grpc

from mesh.call_report import Losses, told_of
from mesh.errors import told_in
from mesh.gate import Gate, Permit
from mesh.retries import Retries
from mesh.stillness import Stillness
from mesh.telemetry import rpc_metrics
from mesh.telemetry.spans import Span, calls

Metadata = Sequence[tuple[str, str | bytes]]
UNGATED = ("/grpc.", "/gaji.mesh.")
"""Health, reflection, relays (whose calls pass the gate one by one) and what operators ask: an open circuit must not
keep them out, and they say nothing of the rest."""
_TELLING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
}
"""Bad news: with these it matters of whom they tell."""
# What gRPC says of a call that was cancelled here and not by its server.
_OURS = ("Locally cancelled", "Cancelled upon garbage collection")
_REPEATED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
"""After these another attempt may follow (`mesh.retries.pause_after`)."""


class Sent(grpc.aio.Metadata):
    """Metadata as ``grpc.aio`` wants it, which it only goes through once more: not sorted by key before."""

    def __init__(self, entries: Metadata) -> None:  # the base class's would sort them
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self._entries)


class Earlier(NamedTuple):
    """What went before an attempt that is not the first.

    Attributes:
        began: `time.monotonic` at the beginning of the call.
        retries: how often it has been made again, this attempt included.
        delay: seconds between its attempts, in all.
    """

    began: float
    retries: int
    delay: float


class Method:
    """How the calls of one method are made.

    Args:
        path: ``"/package.Service/Method"``.
        multicallable: makes an attempt.
        margin: seconds kept back for oneself; an attempt that would have less is not begun.
        gate: is asked before each attempt; None: there is none.
        retries: which methods may be made again; None: none.
        stillness: looks after streams.
        target: what metrics call whom it is called at.
        losses: of the channel's connections, which the gate hears of once; None: of each call that they end.
    """

    __slots__ = ("called", "gate", "losses", "margin", "multicallable", "path", "retries", "stillness")

    def __init__(
        self,
        path: str,
        multicallable: Any,
        *,
        margin: float,
        gate: Gate | None,
        retries: Retries | None,
        stillness: Stillness,
        target: str = "",
        losses: Losses | None = None,
    ) -> None:
        self.path = path
        self.losses = losses
        self.called = rpc_metrics.called(path, target)
        self.multicallable = multicallable
        self.margin = margin
        ungated = path.startswith(UNGATED)
        self.gate = None if ungated else gate
        self.retries = retries if retries is not None and path in retries.methods else None
        self.stillness = stillness

    def may_follow(self, code: grpc.StatusCode) -> bool:
        """Whether there may be another attempt after one that has ended so."""
        return self.retries is not None and code in _REPEATED


def ended(
    method: Method,
    permit: Permit | None,
    started: float,
    earlier: Earlier | None,
    call: Any,
    *,
    begun: bool = False,
    span: Span | None = None,
) -> tuple[grpc.StatusCode | None, bool]:
    """Records the end of an attempt, and with it that of its call, where no other can follow.

    Args:
        method: whose call it is.
        permit: the gate's.
        started: `time.perf_counter` at its beginning.
        earlier: what went before; None: it is the first.
        call: the attempt.
        begun: whether a message has come.
        span: the attempt's; None: it is not recorded.

    Returns:
        Its status, None when that says nothing (more) of the peer: its caller has left, `told_of` says so, or it ended
        with a connection whose loss was told already; and whether it was the last.
    """
    code: grpc.StatusCode = _of_done(call.code())
    seconds = time.perf_counter() - started
    whole = method.called.attempted(code, seconds)
    left = code is grpc.StatusCode.CANCELLED and str(_of_done(call.details())).startswith(_OURS)
    last = begun or left or not method.may_follow(code)
    if last and earlier is None:
        whole.observe(seconds)
    elif last and earlier is not None:
        whole.observe(time.monotonic() - earlier.began)
        method.called.repeated(earlier.retries, earlier.delay)
    if span is not None:
        calls.end_attempt(span, code, left=left)
    said = None if left else code
    if said in _TELLING:
        told = told_in(_of_done(call.trailing_metadata()))
        losses = None if method.gate is None else method.losses  # what no gate hears of must not take its place
        said = told_of(code, told, method.path)
        if said is grpc.StatusCode.UNAVAILABLE and told is None and losses is not None and not losses.another(started):
            said = None
    if permit is not None:
        permit.end(said, seconds)
    return said, last


def _of_done(coroutine: Any) -> Any:
    # `code()` is a coroutine, but that of a done call has nothing to wait for: it is run here to its end, without the
    # task per call that awaiting it in a callback would take.
    try:
        coroutine.send(None)
    except StopIteration as result:
        return result.value
    except asyncio.CancelledError:
        return grpc.StatusCode.CANCELLED
    coroutine.close()
    return grpc.StatusCode.UNKNOWN

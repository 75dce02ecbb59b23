"""What a status says of the peer that sent it."""

from collections.abc import Mapping
from enum import Enum

import grpc

FAILED = 1
SLOW = 2
"""The bits of a call's kind; 0: a good one."""


class Outcome(Enum):
    """What a call that has ended counts as."""

    SUCCESS = 0
    FAILURE = FAILED
    IGNORED = -1


OUTCOMES: Mapping[grpc.StatusCode, Outcome] = {
    grpc.StatusCode.OK: Outcome.SUCCESS,
    # The peer is gone, too late, or broken.
    grpc.StatusCode.UNAVAILABLE: Outcome.FAILURE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Outcome.FAILURE,
    grpc.StatusCode.INTERNAL: Outcome.FAILURE,
    grpc.StatusCode.UNKNOWN: Outcome.FAILURE,
    grpc.StatusCode.DATA_LOSS: Outcome.FAILURE,
    # It looked at the request and said no: it is alive and well.
    grpc.StatusCode.INVALID_ARGUMENT: Outcome.SUCCESS,
    grpc.StatusCode.NOT_FOUND: Outcome.SUCCESS,
    grpc.StatusCode.ALREADY_EXISTS: Outcome.SUCCESS,
    grpc.StatusCode.PERMISSION_DENIED: Outcome.SUCCESS,
    grpc.StatusCode.UNAUTHENTICATED: Outcome.SUCCESS,
    grpc.StatusCode.FAILED_PRECONDITION: Outcome.SUCCESS,
    grpc.StatusCode.ABORTED: Outcome.SUCCESS,
    grpc.StatusCode.OUT_OF_RANGE: Outcome.SUCCESS,
    grpc.StatusCode.UNIMPLEMENTED: Outcome.SUCCESS,
    # The caller left.
    grpc.StatusCode.CANCELLED: Outcome.IGNORED,
    # A limiter shed the call before any work: that neither shows a broken peer (to refuse the rest as well would make
    # an outage of an overload) nor one whose work succeeds (sheds would hide that all that is let in fails). It has its
    # own remedy, the RetryInfo that comes with it.
    grpc.StatusCode.RESOURCE_EXHAUSTED: Outcome.IGNORED,
}


def kind_of(code: grpc.StatusCode | None, seconds: float, slow_seconds: float) -> int | None:
    """The kind of an ended call, bits of `FAILED` and `SLOW`; None: it does not count.

    Args:
        code: its status; None: its caller left.
        seconds: how long it took.
        slow_seconds: above which it is slow.
    """
    outcome = Outcome.IGNORED if code is None else OUTCOMES.get(code, Outcome.FAILURE)
    if outcome is Outcome.IGNORED:
        return None
    slow = 0 if seconds <= slow_seconds else SLOW
    return FAILED | slow if outcome is Outcome.FAILURE else slow

"""The breakers for operators: gaji.mesh.v1.BreakerService, and the same as a page of the admin port."""

from collections.abc import Sequence
from typing import Any

from gaji.mesh.v1 import breaker_service_pb2 as pb
from gaji.mesh.v1 import breaker_service_pb2_grpc as rpc

from mesh import pages
from mesh.breaker.machine import Breaker
from mesh.breaker.registry import Breakers
from mesh.breaker.state import State
from mesh.validation import Violations

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["BreakerService"].full_name
_TO_WIRE = {
    State.CLOSED: pb.BREAKER_STATE_CLOSED,
    State.OPEN: pb.BREAKER_STATE_OPEN,
    State.HALF_OPEN: pb.BREAKER_STATE_HALF_OPEN,
    State.DISABLED: pb.BREAKER_STATE_DISABLED,
    State.FORCED_OPEN: pb.BREAKER_STATE_FORCED_OPEN,
    State.METRICS_ONLY: pb.BREAKER_STATE_METRICS_ONLY,
}
_FROM_WIRE: dict[int, State | None] = {value: state for state, value in _TO_WIRE.items()}
_FROM_WIRE[pb.BREAKER_STATE_UNSPECIFIED] = None


class BreakerServicer(rpc.BreakerServiceServicer):
    """Answers operators.

    Args:
        breakers: the process's.
    """

    def __init__(self, breakers: Breakers) -> None:
        self._breakers = breakers

    async def ListBreakers(self, request: pb.ListBreakersRequest, context: Any) -> pb.ListBreakersResponse:
        return listed(self._breakers, request)

    async def SetBreakerState(self, request: pb.SetBreakerStateRequest, context: Any) -> pb.SetBreakerStateResponse:
        return forced(self._breakers, request)


def listed(breakers: Breakers, request: pb.ListBreakersRequest) -> pb.ListBreakersResponse:
    """A page of the list.

    Raises:
        InvalidArgument: the page's size or token is none.
    """
    check = Violations()
    size = pages.page_size(check, request.page_size)
    after = pages.decode_token(check, request.page_token, 2)
    check.raise_if_any()
    found = breakers.matching(request.peer, request.group)
    if after is not None:
        found = [breaker for breaker in found if (breaker.peer, breaker.group) > after]
    page, more = found[:size], len(found) > size
    token = pages.encode_token(page[-1].peer, page[-1].group) if more else ""
    return pb.ListBreakersResponse(breakers=_told(page), next_page_token=token)


def forced(breakers: Breakers, request: pb.SetBreakerStateRequest) -> pb.SetBreakerStateResponse:
    """Sets breakers and tells how they are then.

    Raises:
        InvalidArgument: the state is none.
        NotFound: there are no such breakers.
    """
    if request.state not in _FROM_WIRE:
        check = Violations()
        check.add("state", f"is {request.state}, which is no state; use one of {', '.join(pb.BreakerState.keys())}")
        check.raise_if_any()
    return pb.SetBreakerStateResponse(
        breakers=_told(breakers.force(_FROM_WIRE[request.state], request.peer, request.group))
    )


def _told(breakers: Sequence[Breaker]) -> list[pb.Breaker]:
    return [_to_wire(breaker) for breaker in breakers]


def _to_wire(breaker: Breaker) -> pb.Breaker:
    now = breaker.snapshot()
    told = pb.Breaker(
        peer=breaker.peer,
        group=breaker.group,
        state=_TO_WIRE[now.state],
        calls=now.calls,
        failed_calls=now.failed,
        slow_calls=now.slow,
        failure_rate=now.failure_rate,
        slow_rate=now.slow_rate,
        rejected_calls=now.rejected,
        openings=now.openings,
        probes=now.probes,
    )
    told.state_duration.FromMilliseconds(round(now.seconds_in_state * 1000))
    if now.seconds_left is not None:
        told.retry_delay.FromMilliseconds(round(now.seconds_left * 1000))
    return told

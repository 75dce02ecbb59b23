"""What a breaker says: to the log, and to whom it refuses a call."""

import math

from mesh.breaker.state import Event, State
from mesh.errors import Unavailable
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)


def log_event(event: Event) -> None:
    """One line: a warning where calls are refused from now on, or would be."""
    calls, failed, slow = event.counts
    extra: dict[str, str | int] = {
        "peer": event.peer,
        "group": event.group,
        "from": event.before.value,
        "to": event.after.value,
        "why": event.why,
        "calls": calls,
        "failed": failed,
        "slow": slow,
    }
    exceeded = event.kind == "exceeded"
    serious = exceeded or event.after in {State.OPEN, State.FORCED_OPEN}
    (log.warning if serious else log.info)("circuit breaker would open" if exceeded else "circuit breaker", extra=extra)


def refusal(peer: str, group: str, state: State, seconds: float) -> Unavailable:
    """The error of a call that is not made.

    Args:
        peer: whom it was for.
        group: which methods are refused.
        state: why.
        seconds: when to come back.
    """
    if state is State.FORCED_OPEN:
        words = "an operator has closed the way to it"
    elif state is State.HALF_OPEN:
        words = "too many of its calls failed or were slow, and it is being tried with a few"
    else:
        words = f"too many of its calls failed or were slow; it is tried again in {math.ceil(seconds)} s"
    return Unavailable(
        f"{peer} is not called: {words}",
        reason="CIRCUIT_OPEN",
        retry_after=seconds,
        metadata={"peer": peer, "group": group, "state": state.name},
    )

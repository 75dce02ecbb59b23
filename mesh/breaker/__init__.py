"""Circuit breakers: a peer that fails is left alone for a while, then tried with a few calls.

Per peer and group of methods, with the semantics of Resilience4j; see docs/decisions/0010-circuit-breaker.md.
"""

from mesh.breaker import metrics as _metrics  # noqa: F401 - makes Prometheus see them
from mesh.breaker.machine import Breaker
from mesh.breaker.outcomes import OUTCOMES, Outcome
from mesh.breaker.registry import Breakers, PeerGate
from mesh.breaker.settings import BreakerSettings
from mesh.breaker.state import Event, Listener, Snapshot, State

__all__ = [
    "OUTCOMES",
    "Breaker",
    "BreakerSettings",
    "Breakers",
    "Event",
    "Listener",
    "Outcome",
    "PeerGate",
    "Snapshot",
    "State",
]

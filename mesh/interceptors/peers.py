"""Lets a process in by the name in its certificate, where the contract lists it beside the RPC.

A call inside a relay's stream is the relay's: whoever opened the stream must be a caller of the method within.
"""

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any

from gaji.mesh.v1 import peers_pb2
from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from prometheus_client import Counter

from mesh.errors import PermissionDenied
from mesh.interceptors.pipeline import Around, Call, Context
from mesh.telemetry.logs import get_logger
from mesh.telemetry.metrics import REGISTRY
from mesh.tls import peer_name

log = get_logger(__name__)

GATEWAY = "gateway"
OPERATOR = "operator"
REFLECTION = "/grpc.reflection."
"""Its methods are the operator's. Health is everybody's who has a certificate: balancers ask for it all the time."""

_REFUSED = Counter("gaji_peer_refused_total", "Calls of peers that may not make them.", ["peer"], registry=REGISTRY)
# A context variable, since the tasks in which a relay runs its calls are begun in that of its stream and inherit it.
_peer: ContextVar[str] = ContextVar("peer", default="")


def enter(context: Context) -> None:
    """Notes who has opened a connection, for the calls that come over it."""
    ids: Any = context.auth_context().get("peer_spiffe_id", ())
    _peer.set(peer_name(ids[0].decode()) if len(ids) == 1 else "")


def callers(method: MethodDescriptor) -> frozenset[str]:
    """The processes that may call a method; none: a closed door."""
    options: Any = method.GetOptions()
    listed = options.Extensions[peers_pb2.callers]
    return frozenset([*listed, *([GATEWAY] if options.HasExtension(annotations_pb2.http) else [])])


def callers_of(services: Iterable[ServiceDescriptor]) -> dict[str, frozenset[str]]:
    """Callers by path, of all methods of services."""
    return {
        f"/{service.full_name}/{method.name}": callers(method) for service in services for method in service.methods
    }


def admitted(table: Mapping[str, frozenset[str]]) -> Around:
    """Refuses with PERMISSION_DENIED whoever is not in the table, before anything of the call is looked at."""

    def around(call: Call) -> None:
        peer, method = _peer.get(), call.method
        allowed = table.get(method, frozenset())
        if peer not in allowed and not (peer == OPERATOR and method.startswith(REFLECTION)):
            _REFUSED.labels(peer or "unknown").inc()
            log.warning("a peer that may not call was refused", extra={"peer": peer, "method": method})
            raise PermissionDenied(
                f"{peer or 'a process without a name'} may not call {method}; use the certificate of one that may: "
                f"{', '.join(sorted(allowed)) or 'nobody'}",
                reason="PEER_NOT_ALLOWED",
                metadata={"peer": peer, "method": method},
            )

    return around

"""How long a connection may be silent before its other end counts as gone.

A host that is lost, or a cable that is cut, sends nothing, not even that it ends. By itself TCP sends again what was
not acknowledged for a quarter of an hour, ever more rarely (RFC 6298), so that it also sleeps on for as long again
after the cable is mended; and who only listens never notices at all (RFC 1122, section 4.2.3.6). What has an answer
within a second (`mesh.redis_client`) needs none of this, and channels of gRPC have pings of their own (`mesh.client`).
"""

import socket
from collections.abc import Sequence

LOST_SECONDS = 5
"""After so long without an acknowledgement the other end is gone."""
_PROBES = 3
_IDLE_SECONDS = 10

WINDOWS = (
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 4 * 1024 * 1024),
    ("grpc.http2.max_frame_size", 1024 * 1024),
)
"""Options of gRPC: how much may be on its way is fixed. By itself it measures that with a ping after what has come,
which wakes threads at both ends of every connection long after each message."""

Option = tuple[int, int, int]


def loss_options(seconds: int = LOST_SECONDS) -> Sequence[Option]:
    """Options for `socket.setsockopt`, as far as the system knows them (RFC 5482 for the last one).

    Args:
        seconds: after which what was sent and not acknowledged ends a connection. One over which nothing is sent is
            probed after ten seconds, and ended after as long again as these.
    """
    wanted = (
        ("TCP_KEEPIDLE", _IDLE_SECONDS),
        ("TCP_KEEPINTVL", max(1, seconds // _PROBES)),
        ("TCP_KEEPCNT", _PROBES),
        ("TCP_USER_TIMEOUT", seconds * 1000),
    )
    known = [(socket.IPPROTO_TCP, int(getattr(socket, name)), value) for name, value in wanted if hasattr(socket, name)]
    return [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *known]

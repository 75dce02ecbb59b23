"""Many server-streaming calls over one gRPC stream, in batches of formatted frames.

What a relay of token streams costs is the gRPC message per event and reader. Here the events of all readers travel
together: those that are ready, `BATCH_SECONDS` apart, `LARGE_BATCH_SECONDS` where there are many; the first of a call,
and what is urgent, at once.
"""

from mesh.relay.calls import PushedCall, RelayCall, Sink
from mesh.relay.client import RelayClient
from mesh.relay.server import BATCH_SECONDS, LARGE_BATCH_SECONDS, RelayServicer

__all__ = ["BATCH_SECONDS", "LARGE_BATCH_SECONDS", "PushedCall", "RelayCall", "RelayClient", "RelayServicer", "Sink"]

"""Many server-streaming calls over one gRPC stream, in batches of formatted frames.

What a relay of token streams costs is the gRPC message per event and reader. Here the events of all readers travel
together: those that are ready, at most `BATCH_SECONDS` apart, the first of a call at once.
"""

from mesh.relay.client import PushedCall, RelayCall, RelayClient, Sink
from mesh.relay.server import BATCH_SECONDS, RelayServicer

__all__ = ["BATCH_SECONDS", "PushedCall", "RelayCall", "RelayClient", "RelayServicer", "Sink"]

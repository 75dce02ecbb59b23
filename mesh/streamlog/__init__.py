"""The durable log of a stream: written by one process at a time, read by any, whatever dies in between.

::

    Producer ── append ──> Stream (in memory) ── read ──> readers of this process
        │
        └─ Replicator ──> Redis Streams ── follower ──> Stream (in memory) ── read ──> readers of other processes

A log has an id, an epoch and sequence numbers. The epoch is a fencing token (Kleppmann, "Designing Data-Intensive
Applications", chapter 8): it comes from the database that owns the work, grows each time that somebody takes the work
up, and Redis takes entries of the highest epoch alone. Within an epoch one producer writes, so that epoch and sequence
together name an entry for ever, even if Redis has lost it.

Readers in the producer's process see an entry at once, the others when Redis has it. A producer that dies may take
entries with it that its own readers have seen and Redis has not; a reader who comes back with a cursor behind such an
entry is told by a `Lapse` where the log stands.
"""

from mesh.streamlog.cursor import Cursor
from mesh.streamlog.hub import Hub, Mode, open_hub
from mesh.streamlog.producer import Producer
from mesh.streamlog.redis_log import FencedError, LogState
from mesh.streamlog.stream import COMPLETE, FAILED, STOPPED, Codec, Entry, Lapse, Reading, Stream

__all__ = [
    "COMPLETE",
    "FAILED",
    "STOPPED",
    "Codec",
    "Cursor",
    "Entry",
    "FencedError",
    "Hub",
    "Lapse",
    "LogState",
    "Mode",
    "Producer",
    "Reading",
    "Stream",
    "open_hub",
]

"""Reading through the cache: near, else look up, else compute and store. Cache trouble never reaches the caller.

Where a value came from is told in ``gaji_read_through_total{kind,result}``:

- ``near``: this process had it (`mesh.near`).
- ``hit``: the cache had it, or got it while we waited; ``stale``: likewise, but it is due to be computed anew.
- ``absent``: the cache knew that there is no such thing.
- ``stored``: we held the lease, computed it and stored it; ``unstored``: likewise, but storing failed.
- ``contended``: another caller was computing it and did not finish within the wait; we computed it for ourselves.
- ``bypassed``: the cache was in trouble; we computed it.
"""

from mesh.read_through.port import (
    AbsentError,
    CacheAbsent,
    CacheContended,
    CacheHit,
    CacheLease,
    CachePort,
    Compute,
    Found,
    Keep,
    always,
)
from mesh.read_through.reader import ReadThrough

__all__ = [
    "AbsentError",
    "CacheAbsent",
    "CacheContended",
    "CacheHit",
    "CacheLease",
    "CachePort",
    "Compute",
    "Found",
    "Keep",
    "ReadThrough",
    "always",
]

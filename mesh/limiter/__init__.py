"""How many calls a process answers at once, found out while it runs; what is beyond is refused early and cheaply.

`gradient` finds the limit, `partitions` shares it between readers and background work, `arrival` and `lag` see the part
of a caller's wait that no handler sees, and `limiter` puts them together.
"""

from mesh.limiter.arrival import Arrivals, stamp
from mesh.limiter.gradient import Gradient
from mesh.limiter.lag import LoopLag
from mesh.limiter.limiter import Limiter, Permit, waits
from mesh.limiter.partitions import SHARES, Partitions

__all__ = ["SHARES", "Arrivals", "Gradient", "Limiter", "LoopLag", "Partitions", "Permit", "stamp", "waits"]

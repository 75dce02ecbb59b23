"""How a process is, in a few figures: `gaji.mesh.v1.StatusService`, which every server offers.

See docs/decisions/0027-status.md.
"""

from mesh.status.process import ProcessStatus
from mesh.status.servicer import SERVICE, StatusServicer

__all__ = ["SERVICE", "ProcessStatus", "StatusServicer"]

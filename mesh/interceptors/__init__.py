"""What stands around every handler: telemetry, errors, deadline, identity, in this order from the outside."""

from mesh.interceptors.pipeline import Around, Call, Pipeline

__all__ = ["Around", "Call", "Pipeline"]

"""What stands around every handler, from the outside: the limit, telemetry, errors, deadline, identity."""

from mesh.interceptors.pipeline import Around, Call, Pipeline

__all__ = ["Around", "Call", "Pipeline"]

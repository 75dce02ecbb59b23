"""/health and /ready."""

import asyncio
from collections.abc import Mapping

import orjson

from gateway.app import Answer
from gateway.http import JSON
from gateway.upstreams import Upstream

SERVING = "SERVING"


async def alive() -> Answer:
    """That this process answers at all."""
    return Answer(200, b'{"status":"alive"}', JSON)


class Readiness:
    """Whether requests are welcome: every peer serves, and the process is not about to stop.

    Args:
        upstreams: the peers by room.
        seconds: how long to wait for each.
    """

    def __init__(self, upstreams: Mapping[str, Upstream], seconds: float) -> None:
        self._upstreams = upstreams
        self._seconds = seconds
        self.draining = False
        self._asking: asyncio.Task[Answer] | None = None

    async def __call__(self) -> Answer:
        """``{"status", "services": {room: state}}``; 503 unless all serve.

        Nothing limits who may ask; so those who ask while peers are being asked share the answer.
        """
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="ready")
        return await asyncio.shield(self._asking)

    async def _ask(self) -> Answer:
        states = await asyncio.gather(*(upstream.serving(self._seconds) for upstream in self._upstreams.values()))
        services = dict(zip(self._upstreams, states, strict=True))
        ready = not self.draining and all(state == SERVING for state in states)
        status = "draining" if self.draining else "ready" if ready else "not ready"
        body = orjson.dumps({"status": status, "services": services})
        return Answer(200 if ready else 503, body, JSON)

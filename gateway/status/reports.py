"""Reports on all processes of the house."""

import asyncio
import contextvars
from collections.abc import Sequence
from datetime import UTC, datetime

from gateway.config import GatewaySettings
from gateway.schemas import Json
from gateway.status.peers import Peer, of_status
from mesh.process import ended
from mesh.status import ProcessStatus

GATEWAY = "gateway"
_GOOD_SECONDS = 1.0
"""For how long whoever asks is given the report before, at most."""


class Reports:
    """Asks everybody once, for all who want to know.

    Args:
        settings: how long each is waited for.
        own: how the gateway is.
        peers: the others.
    """

    def __init__(self, settings: GatewaySettings, own: ProcessStatus, peers: Sequence[Peer]) -> None:
        self._settings = settings
        self._own = own
        self._peers = peers
        self._loop = asyncio.get_running_loop()
        self._good = min(_GOOD_SECONDS, settings.status_seconds / 2)
        self._good_until = float("-inf")
        self._asking: asyncio.Task[Json] | None = None

    async def newest(self) -> Json:
        """``{"time", "interval_seconds", "services"}``, as `gateway.status.document` describes it."""
        if self._asking is None or (self._asking.done() and self._loop.time() >= self._good_until):
            # In a context of its own: nobody's token and deadline go along.
            asking = self._ask()
            self._asking = self._loop.create_task(asking, name="status", context=contextvars.Context())
            self._asking.add_done_callback(_seen)
        return await asyncio.shield(self._asking)

    async def close(self) -> None:
        """Asks nobody any more."""
        if self._asking is not None:
            await ended(self._asking)

    async def _ask(self) -> Json:
        own, *others = await asyncio.gather(
            self._of_own(), *(peer.ask(self._settings.ready_seconds) for peer in self._peers)
        )
        self._good_until = self._loop.time() + self._good
        return {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "interval_seconds": self._settings.status_seconds,
            "services": [own, *others],
        }

    async def _of_own(self) -> Json:
        return of_status(GATEWAY, self._settings.listen, await self._own.now())


def _seen(task: "asyncio.Task[Json]") -> None:
    # When all who asked have gone nobody else looks at the exception, and asyncio would complain.
    if not task.cancelled():
        task.exception()

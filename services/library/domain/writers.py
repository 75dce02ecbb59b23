"""Those who write replies, in another room: they are reached through the logs of what they write."""

from collections.abc import Sequence
from uuid import UUID

from mesh.errors import MeshError
from mesh.telemetry.logs import get_logger
from services.library.domain.progress import ProgressHub

log = get_logger(__name__)


class Writers:
    """Asks them to stop.

    Args:
        hub: where the logs are; that its own are of another kind does not matter for a stop.
    """

    def __init__(self, hub: ProgressHub) -> None:
        self._hub = hub

    async def stop(self, message_ids: Sequence[UUID]) -> None:
        """Stops the writing of replies that are deleted; one that cannot be reached ends when it wants to store it."""
        for message_id in message_ids:
            try:
                await self._hub.stop(message_id)
            except MeshError as error:
                facts = {"message_id": str(message_id), "reason": error.reason}
                log.warning("a deleted reply is written to its end", extra=facts)
                return

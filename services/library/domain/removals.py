"""Takes deleted novels out of search, where a deletion could not do so itself."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from mesh import priority
from mesh.errors import MeshError
from mesh.telemetry.logs import get_logger
from services.library.ports import IngestionStore, Search

log = get_logger(__name__)


@asynccontextmanager
async def removing(store: IngestionStore, search: Search, poll_seconds: float) -> AsyncIterator[None]:
    """Works the queue of removals until the block is left.

    Args:
        store: the queue; several replicas may work it.
        search: the search room.
        poll_seconds: how often to look.
    """
    task = asyncio.create_task(_run(store, search, poll_seconds), name="removals")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _run(store: IngestionStore, search: Search, poll_seconds: float) -> None:
    priority.enter(priority.BATCH)
    while True:
        try:
            while await _remove_next(store, search):
                pass
        except MeshError as error:
            log.warning("a removal waits", extra={"reason": error.reason, "error": error.message})
        except Exception:  # one broken novel must not end the work on all others
            log.exception("a removal failed")
        await asyncio.sleep(poll_seconds * random.uniform(0.5, 1))  # noqa: S311 - jitter


async def _remove_next(store: IngestionStore, search: Search) -> bool:
    novel_id = await store.claim_removal()
    if novel_id is None:
        return False
    await search.delete_novel(novel_id)
    await store.removed(novel_id)
    log.info("removed from search", extra={"novel_id": str(novel_id)})
    return True

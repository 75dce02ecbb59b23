"""Tells search what owners have changed about characters, where the change itself could not do so."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from mesh import priority
from mesh.errors import MeshError, NotFound
from mesh.telemetry.logs import get_logger
from services.library.ports import EditStore, Search

log = get_logger(__name__)

_SECONDS = 5.0


@asynccontextmanager
async def telling(store: EditStore, search: Search, poll_seconds: float) -> AsyncIterator[None]:
    """Works the queue of changes until the block is left.

    Args:
        store: the queue; several replicas may work it.
        search: the search room.
        poll_seconds: how often to look.
    """
    task = asyncio.create_task(_run(store, search, poll_seconds), name="character edits")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _run(store: EditStore, search: Search, poll_seconds: float) -> None:
    priority.enter(priority.BATCH)
    while True:
        try:
            while await _tell_next(store, search):
                pass
        except MeshError as error:
            log.warning("changes of characters wait", extra={"reason": error.reason, "error": error.message})
        except Exception:  # one broken novel must not end the work on all others
            log.exception("search could not be told of changes")
        await asyncio.sleep(poll_seconds * random.uniform(0.5, 1))  # noqa: S311 - jitter


async def _tell_next(store: EditStore, search: Search) -> bool:
    edits = await store.claim()
    if edits is None:
        return False
    with suppress(NotFound):  # its ingestion has it told again
        await search.set_character_edits(edits, _SECONDS)
    await store.told(edits.novel_id, edits.revision)
    return True

"""Follows the news of invalidations for a near cache, as long as the process runs."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from mesh.errors import MeshError
from mesh.near.cache import NearCache
from mesh.near.coverage import Coverage, News
from mesh.process import ended
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

SILENCE_SECONDS = 3.0
"""Without any news for so long the watch counts as lost; beats come in half of it, and five times a second in use."""
RENEW_SECONDS = 600.0
"""A watch is begun anew after so long: see `mesh.near.coverage`."""
_PAUSES = (0.1, 5.0)

OpenWatch = Callable[[], AbstractAsyncContextManager[AsyncIterator[News]]]
"""Opens a watch; entering, iterating or leaving it raises `MeshError` when it is lost."""


@asynccontextmanager
async def following_news(near: NearCache, watch: OpenWatch) -> AsyncIterator[None]:
    """Keeps a near cache right until the block is left; then it is empty."""
    task = asyncio.create_task(follow(near, watch), name="near-cache")
    try:
        yield
    finally:
        await ended(task)


async def follow(
    near: NearCache,
    watch: OpenWatch,
    *,
    silence: float = SILENCE_SECONDS,
    renew: float = RENEW_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Follows the news until cancelled, beginning anew whenever it is lost.

    Args:
        near: what is kept right; its clock must be ``clock``.
        watch: opens a watch.
        silence: seconds without news after which a watch counts as lost.
        renew: seconds after which a watch is begun anew.
        clock: seconds, never stepping.
    """
    shortest, longest = _PAUSES
    pause, told = shortest, False
    while True:
        asked_at = clock()
        coverage = Coverage(near, asked_at)
        try:
            async with asyncio.timeout(silence) as patience, watch() as news:
                async for one in news:
                    coverage.hear(one)
                    pause, told = shortest, False
                    if clock() - asked_at >= renew:
                        break
                    patience.reschedule(asyncio.get_running_loop().time() + silence)
        except (MeshError, TimeoutError) as error:
            if not told:
                log.warning("the near cache is not used: no news of invalidations", extra={"error": str(error)})
            told = True
        except Exception:  # without its news the near cache is of no use, and of no harm either
            log.exception("the news of invalidations broke")
        finally:
            near.lost()
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, hides nothing
        pause = min(2 * pause, longest)

"""Follows the news of invalidations for a near cache, as long as the process runs."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from mesh.errors import MeshError
from mesh.near.cache import NearCache
from mesh.near.coverage import Coverage, InPlace, News
from mesh.process import ended
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

OFTEN_SECONDS = 3.0
"""The silence that is borne after a watch was lost: lookups may go where nobody tells its cache of them."""
SILENCE_SECONDS = 20.0
"""Without any news for so long the watch counts as lost; beats come in half of it, and five times a second in use."""
WANTED_SECONDS = 2.0
"""Likewise from when somebody would have had a value whose beat is overdue: he asks the cache, which beats at once."""
RENEW_SECONDS = 600.0
"""A watch is begun anew after so long: see `mesh.near.coverage`."""
_PAUSES = (0.1, 5.0)

OpenWatch = Callable[[float], AbstractAsyncContextManager[AsyncIterator[News]]]
"""Opens a watch that may be silent for so many seconds while nobody asks for anything; entering, iterating or leaving
it raises `MeshError` when it is lost."""


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
    wanted: float = WANTED_SECONDS,
    renew: float = RENEW_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Follows the news until cancelled, beginning anew whenever it is lost.

    Args:
        near: what is kept right; its clock must be ``clock``.
        watch: opens a watch.
        silence: seconds without news after which a watch counts as lost.
        wanted: likewise since the near cache was wanted and could give out nothing for want of a beat.
        renew: seconds after which a watch is begun anew.
        clock: seconds, never stepping.
    """
    loop = asyncio.get_running_loop()
    shortest, longest = _PAUSES
    pause, told, bears = shortest, False, silence
    while True:
        asked_at = clock()
        coverage = Coverage(near, asked_at)
        try:
            async with asyncio.timeout(bears) as patience, watch(bears) as news:
                near.on_want(partial(_hurry, patience, wanted))
                async for one in news:
                    coverage.hear(one)
                    if not isinstance(one, InPlace):  # a cache that nobody's lookup reaches says no more than that
                        pause, told = shortest, False
                    if clock() - asked_at >= renew:
                        bears = silence
                        break
                    patience.reschedule(loop.time() + bears)
        except (MeshError, TimeoutError) as error:
            if isinstance(error, TimeoutError):  # as beside a cache of an earlier release, whose lookups bring no beats
                bears = min(silence, OFTEN_SECONDS)
            if not told:
                log.warning("the near cache is not used: no news of invalidations", extra={"error": str(error)})
            told = True
        except Exception:  # without its news the near cache is of no use, and of no harm either
            log.exception("the news of invalidations broke")
        finally:
            near.on_want(None)
            near.lost()
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, hides nothing
        pause = min(2 * pause, longest)


def _hurry(patience: asyncio.Timeout, seconds: float) -> None:
    due = asyncio.get_running_loop().time() + seconds
    if not patience.expired() and (patience.when() or due) > due:
        patience.reschedule(due)

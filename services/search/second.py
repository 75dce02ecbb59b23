"""Second readings as the settings want them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.search.config import SearchSettings
from services.search.domain.calm import Calm
from services.search.domain.second_making import Making
from services.search.domain.second_readings import SecondReadings
from services.search.ports import Embedder, NovelStore


@asynccontextmanager
async def open_second(
    settings: SearchSettings, store: NovelStore, embedder: Embedder, reader: Embedder, calm: Calm
) -> AsyncIterator[SecondReadings]:
    """The second readings of novels, until the block is left.

    Args:
        settings: for whom there are any.
        store: where they are kept.
        embedder: reads queries.
        reader: reads novels.
        calm: says when.
    """
    second = SecondReadings(
        store,
        embedder,
        Making(store, reader, calm),
        own=settings.sentences == "all",
        max_bytes=0 if settings.sentences == "none" else settings.foreign_bytes,
        patience=settings.foreign_patience,
    )
    try:
        yield second
    finally:
        await second.close()

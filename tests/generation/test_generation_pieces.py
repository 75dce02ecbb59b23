import asyncio
from collections.abc import AsyncGenerator

import pytest

from services.generation.domain.pieces import Pieces, ending
from services.generation.ports import Chunk, TokenCounts


def test_a_chunk_adds_its_text_and_the_counts_stay() -> None:
    pieces = Pieces()
    chunks = (Chunk("one"), Chunk(" t\0w\u200bo"), Chunk(counts=TokenCounts(7, 3)), Chunk(""))
    assert [pieces.take(chunk) for chunk in chunks] == ["one", " two", "", ""]
    assert (pieces.text, pieces.counts) == ("one two", TokenCounts(7, 3))


@pytest.mark.parametrize("how", ["leave", "fail", "cancel"])
async def test_leaving_stops_the_model(how: str) -> None:
    stopped = asyncio.Event()
    reading = asyncio.Event()

    async def model() -> AsyncGenerator[Chunk, None]:
        try:
            yield Chunk("one")
            await asyncio.sleep(60)
        finally:
            stopped.set()

    async def read() -> None:
        chunks = model()
        async with ending(chunks):
            async for _ in chunks:
                if how == "leave":
                    return
                if how == "fail":
                    raise ValueError
                reading.set()

    task = asyncio.create_task(read())
    if how == "cancel":
        await reading.wait()
        task.cancel()
    await asyncio.wait([task])
    assert stopped.is_set()
    assert task.cancelled() is (how == "cancel")
    assert how == "cancel" or isinstance(task.exception(), ValueError if how == "fail" else type(None))

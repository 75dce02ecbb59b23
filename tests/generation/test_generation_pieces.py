import asyncio
from collections.abc import AsyncGenerator

import pytest

from mesh.errors import Unavailable
from services.generation.domain import failures
from services.generation.domain.pieces import reading
from services.generation.ports import Chunk, TokenCounts


async def test_each_piece_comes_at_once_while_the_reader_waits() -> None:
    async def model() -> AsyncGenerator[Chunk, None]:
        for word in ("one", " two", " three"):
            await asyncio.sleep(0.01)
            yield Chunk(word)
        yield Chunk(counts=TokenCounts(7, 3))

    async with reading(model()) as pieces:
        assert [await pieces.next() for _ in range(4)] == ["one", " two", " three", ""]
    assert pieces.counts == TokenCounts(7, 3)


async def test_pieces_are_joined_while_the_reader_is_away() -> None:
    written = asyncio.Event()

    async def model() -> AsyncGenerator[Chunk, None]:
        for number in range(100):
            yield Chunk(f"{number} ")
        written.set()

    async with reading(model()) as pieces:
        await written.wait()
        assert await pieces.next() == "".join(f"{number} " for number in range(100))
        assert await pieces.next() == ""


async def test_a_failure_comes_after_the_text_before_it() -> None:
    async def model() -> AsyncGenerator[Chunk, None]:
        yield Chunk("half a")
        raise failures.broken()

    async with reading(model()) as pieces:
        await asyncio.sleep(0.01)
        assert await pieces.next() == "half a"
        with pytest.raises(Unavailable):
            await pieces.next()
    assert pieces.text == "half a"


async def test_leaving_stops_the_model() -> None:
    stopped = asyncio.Event()

    async def model() -> AsyncGenerator[Chunk, None]:
        try:
            yield Chunk("one")
            await asyncio.sleep(60)
        finally:
            stopped.set()

    async with reading(model()) as pieces:
        assert await pieces.next() == "one"
    assert stopped.is_set()

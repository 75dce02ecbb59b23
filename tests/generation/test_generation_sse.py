from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.generation.providers.sse import event_data


async def read(*parts: bytes) -> list[str]:
    async def stream() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return [data async for data in event_data(stream())]


STREAM = (
    "\ufeff: a comment\r\n\r\nevent: x\rdata: one\r\rdata: two\ndata:three\nid: 4\n\n"
    'data: {"text":"\u2028 안녕 \x85"}\r\n\r\ndata\n\ndata: never ended'
).encode()
EVENTS = ["one", "two\nthree", '{"text":"\u2028 안녕 \x85"}', ""]


@given(st.lists(st.integers(0, len(STREAM)), max_size=30).map(sorted))
async def test_events_do_not_depend_on_how_the_bytes_arrive(cuts: list[int]) -> None:
    edges = [0, *cuts, len(STREAM)]
    assert await read(*(STREAM[a:b] for a, b in pairwise(edges))) == EVENTS


async def test_an_endless_line_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        await read(b"data: ", *[b"x" * 300_000] * 5)


async def test_an_event_of_endless_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        await read(*[b"data: " + b"x" * 300_000 + b"\n"] * 5)

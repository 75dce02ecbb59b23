"""Records that a store remembers are never older than what was written."""

import asyncio
from collections.abc import Awaitable, Callable

from services.search.models import Novel
from services.search.stores.records import Records

OLD, NEW = Novel("a", "owner", public=True, generation=1), Novel("a", "owner", public=True, generation=2)


def reader(stored: dict[str, Novel], reads: list[str]) -> Callable[[], Awaitable[Novel | None]]:
    async def read() -> Novel | None:
        reads.append("a")
        found = stored.get("a")
        await asyncio.sleep(0)
        return found

    return read


async def test_a_record_is_read_once_until_it_is_written() -> None:
    stored, reads = {"a": OLD}, list[str]()
    records, read = Records(), reader(stored, reads)
    assert [await records.get("a", read), await records.get("a", read)] == [OLD, OLD]
    assert len(reads) == 1
    with records.writing("a"):
        stored["a"] = NEW
    assert await records.get("a", read) == NEW


async def test_that_there_is_none_is_not_remembered() -> None:
    stored, reads = dict[str, Novel](), list[str]()
    records, read = Records(), reader(stored, reads)
    assert await records.get("a", read) is None
    stored["a"] = NEW
    assert await records.get("a", read) == NEW


async def test_what_was_read_before_a_write_is_not_remembered_after_it() -> None:
    stored, reads = {"a": OLD}, list[str]()
    records, read = Records(), reader(stored, reads)
    reading = asyncio.create_task(records.get("a", read))
    await asyncio.sleep(0)  # it has read, and not come back
    with records.writing("a"):
        stored["a"] = NEW
    assert await reading == OLD
    assert await records.get("a", read) == NEW


async def test_what_is_read_during_a_write_is_not_remembered() -> None:
    stored, reads = {"a": OLD}, list[str]()
    records, read = Records(), reader(stored, reads)
    with records.writing("a"):
        assert await records.get("a", read) == OLD
        stored["a"] = NEW
    assert await records.get("a", read) == NEW

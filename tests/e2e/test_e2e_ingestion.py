"""A novel that comes as a file, is ingested anew while it is searched, and is stopped, from the gateway's door."""

import asyncio
import uuid

from tests.e2e.reader import STORY, Reader
from tests.intake.books import epub


async def upload(reader: Reader, file: bytes, **fields: str) -> str:
    answer = await reader.call("POST", "/api/novels:upload", params=fields, content=file)
    assert answer.status_code == 202, answer.text
    novel_id: str = answer.json()["novel_id"]
    events = await reader.all_events("GET", f"/api/novels/{novel_id}/ingestion-stream")
    assert events[-1].name == "complete", events[-1]
    return novel_id


async def found(reader: Reader, novel_id: str) -> list[str]:
    """All passages of a short novel, by a query that no cache knows."""
    query = {"novel_id": novel_id, "query": f"the bell {uuid.uuid4()}", "top_k": 50}
    answer = await reader.ok("POST", "/api/search/passages", query)
    return sorted(passage["id"] for passage in answer["passages"])


async def test_a_file_becomes_a_novel_and_is_ingested_anew_without_a_gap(reader: Reader) -> None:
    novel_id = await upload(reader, epub(STORY, 2, "The Ferry", "N. Body"), file_name="ferry.epub")
    novel = await reader.ok("GET", f"/api/novels/{novel_id}")
    assert (novel["title"], novel["author"], novel["chapters"]) == ("The Ferry", "N. Body", 3)
    before = await found(reader, novel_id)
    assert before
    answer = await reader.ok("POST", f"/api/novels/{novel_id}:reingest")
    assert answer["passages"] == novel["passages"]
    watching = asyncio.create_task(reader.all_events("GET", f"/api/novels/{novel_id}/ingestion-stream"))
    while not watching.done():
        assert await found(reader, novel_id) == before
    events = watching.result()
    assert events[-1].name == "complete"
    assert events[0].data["progress"] < 100
    assert await found(reader, novel_id) == before


async def test_an_ingestion_is_stopped(reader: Reader) -> None:
    text = "\n\n".join(
        f"On day {n} the ferry left with {n} sheep, and nobody counted them but Isolde." for n in range(3000)
    )
    created = await reader.ok("POST", "/api/novels", {"title": "Sheep", "text": text})
    watching = asyncio.create_task(reader.all_events("GET", f"/api/novels/{created['novel_id']}/ingestion-stream"))
    await asyncio.sleep(0.5)
    novel = await reader.ok("POST", f"/api/novels/{created['novel_id']}:cancelIngestion")
    assert (novel["status"], novel["failure"]["reason"]) == ("INGESTION_STATUS_FAILED", "INGESTION_CANCELLED")
    last = (await watching)[-1]
    assert (last.name, last.data["reason"]) == ("failed", "INGESTION_CANCELLED")

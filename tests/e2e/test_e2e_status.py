"""The status of a whole stack, and the routes that a page draws books and trees from, through the gateway."""

from typing import Any

import httpx

from tests.e2e.conftest import Talk
from tests.fixtures.stack import RunningStack

ROOMS = {"cache", "generation", "jobs", "library", "search"}


async def test_every_room_tells_what_it_has(running_stack: RunningStack, talk: Talk) -> None:
    # Something of everything has happened: an ingestion, a search, a conversation.
    await talk.reader.ok("POST", "/api/search/passages", {"novel_id": talk.novel_id, "query": "the bell"})
    await talk.reader.ok("GET", f"/api/novels/{talk.novel_id}")
    async with httpx.AsyncClient(base_url=running_stack.url, timeout=30, trust_env=False) as client:
        report = (await client.get("/api/status")).json()
    told: dict[str, Any] = {one["service"]: one for one in report["services"]}
    assert told.keys() == {"gateway", *ROOMS}
    assert {one["health"] for one in told.values()} == {"SERVING"}
    assert len({one["status"]["version"] for one in told.values()}) == 1

    def names(service: str, what: str, by: str = "name") -> set[str]:
        return {one[by] for one in told[service]["status"][what]}

    assert {"library", "search", "generation"} <= names("gateway", "breakers", "peer")
    assert {"search", "cache", "jobs"} <= names("library", "breakers", "peer")
    assert {"calls", "database"} <= names("library", "pools")
    assert {"high_priority", "low_priority"} <= names("jobs", "queues")
    assert "jobs" in names("jobs", "pools")
    assert "novel" in names("library", "caches", "kind")
    assert "passages" in names("search", "caches", "kind")
    assert {"novel", "passages"} <= names("cache", "caches", "kind")
    passages = next(one for one in told["search"]["status"]["caches"] if one["kind"] == "passages")
    assert int(passages["hits"]) + int(passages["misses"]) > 0


async def test_a_page_may_be_drawn(talk: Talk) -> None:
    chapters = (await talk.reader.ok("GET", f"/api/novels/{talk.novel_id}/chapters"))["chapters"]
    assert [(one["chapter"], one["title"]) for one in chapters] == [(n, f"Chapter {n}") for n in (1, 2, 3)]
    limited = await talk.reader.ok("GET", f"/api/novels/{talk.novel_id}/chapters?until_chapter=1")
    assert limited["chapters"] == chapters[:1]
    first = chapters[1]["first_passage_id"]
    around = await talk.reader.ok("GET", f"/api/novels/{talk.novel_id}/passages/{first}?before=0")
    assert around["passages"][0]["chapter"] == 2

    path = f"/api/conversations/{talk.conversation_id}"
    sent = await talk.reader.all_events("POST", f"{path}/messages-stream", {"content": "Who are you?"})
    assert sent[-1].name == "complete"
    tree = await talk.reader.ok("GET", f"{path}/tree")
    messages = (await talk.reader.ok("GET", f"{path}/messages"))["messages"]
    assert [node["message_id"] for node in tree["nodes"] if node["chosen"]] == [one["message_id"] for one in messages]
    assert (tree["head_message_id"], tree["truncated"]) == (messages[-1]["message_id"], False)

"""From a reply to the page that it stands on, and no further than the reader has read."""

from tests.e2e.conftest import Talk


async def test_a_reply_leads_to_its_sources_and_to_what_stands_around_them(talk: Talk) -> None:
    path = f"/api/conversations/{talk.conversation_id}"
    events = await talk.reader.all_events("POST", f"{path}/messages-stream", {"content": "What is in the chest?"})
    complete = events[-1].data
    cited = complete["citations"]
    assert [one["passage_id"] for one in cited] == complete["passage_ids"]
    assert cited
    assert {"passage_id", "chapter", "chapter_title", "position", "excerpt", "score"} <= set(cited[0])
    stored = (await talk.reader.ok("GET", f"{path}/messages?page_size=100"))["messages"]
    assert next(m for m in stored if m["message_id"] == complete["message_id"])["record"]["citations"] == cited

    one = min(cited, key=lambda each: each["position"])
    passage = f"/api/novels/{talk.novel_id}/passages/{one['passage_id']}"
    read = await talk.reader.ok("GET", passage)
    assert read["passages"][read["index"]]["content"].startswith(one["excerpt"].removesuffix("…").split("\n")[0][:40])
    assert max(each["chapter"] for each in read["passages"]) == one["chapter"] == read["until_chapter"]
    further = await talk.reader.ok("GET", f"{passage}?before=0&after=10&until_chapter=3")
    assert {each["chapter"] for each in further["passages"]} >= {one["chapter"], 3}
    assert (await talk.reader.call("GET", f"{passage}?after=11")).status_code == 400
    assert (await talk.reader.call("GET", f"{passage}?until_chapter=0")).status_code == 404


async def test_who_has_said_nothing_is_told_nothing(talk: Talk) -> None:
    reader, progress = talk.reader, f"/api/novels/{talk.novel_id}/progress"
    body = {"novel_id": talk.novel_id, "title": "Unread", "description": "What if it rang?", "until_read": True}
    scenario = (await reader.ok("POST", "/api/scenarios", body))["scenario_id"]

    async def sources(request_id: str) -> list[int]:
        params = {"scenario_id": scenario, "character_id": talk.character_id, "request_id": request_id}
        events = await reader.all_events("GET", "/api/conversations/create-stream", params=params)
        assert events[-1].name == "complete"
        return [one["chapter"] for one in events[-1].data["citations"]]

    assert "chapter" not in await reader.ok("GET", progress)
    assert not [chapter for chapter in await sources("nothing-read") if chapter > 0]
    assert (await reader.ok("PUT", progress, {"chapter": 2}))["chapter"] == 2
    assert (await reader.ok("GET", progress))["chapter"] == 2
    read = await sources("two-read")
    assert read
    assert max(read) <= 2
    characters = f"/api/novels/{talk.novel_id}/characters"
    assert len((await reader.ok("GET", characters))["characters"]) > 0
    limited = await reader.ok("GET", f"{characters}?until_chapter=1")
    assert {one["first_chapter"] for one in limited["characters"]} <= {0, 1}
    assert (await reader.call("PUT", progress, {"chapter": 9})).json()["error"]["fields"].keys() == {"chapter"}

"""From the browser to the model and back, on the real stack with the scripted model."""

import asyncio
import uuid
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Talk
from tests.e2e.reader import STORY, Event, Reader

SCRIPTED_TOKENS = 100


def text_of(events: list[Event]) -> str:
    return "".join(event.data["content"] for event in events if event.name == "token")


async def test_a_novel_goes_in_with_progress_and_can_be_searched(reader: Reader) -> None:
    answer = await reader.call(
        "POST", "/api/novels", {"title": "Ferry", "author": "A", "language": "en", "text": STORY}
    )
    assert answer.status_code == 202
    novel_id = answer.json()["novel_id"]
    events = await reader.all_events("GET", f"/api/novels/{novel_id}/ingestion-stream")
    progress = [event.data["progress"] for event in events if event.name == "progress"]
    assert progress == sorted(progress)
    told = [set(event.data) for event in events if event.name == "progress"]
    assert all({"progress", "stage", "message"} <= names for names in told)
    assert set().union(*told) <= {"progress", "stage", "message", "remaining_seconds"}
    assert events[-1].name == "complete"
    # What is told before there is a log has no id.
    numbers = [int(event.id.rpartition(".")[2]) for event in events if event.id]
    assert numbers == list(range(1, len(numbers) + 1))
    assert events[-1].id

    novel = await reader.ok("GET", f"/api/novels/{novel_id}")
    assert (novel["chapters"], novel["status"]) == (3, "INGESTION_STATUS_COMPLETE")
    found = await reader.ok(
        "POST", "/api/search/passages", {"novel_id": novel_id, "query": "a bell from a drowned village", "top_k": 2}
    )
    best = found["passages"][0]
    assert {"id", "content", "chapter", "position", "score", "distance"} <= set(best)
    assert best["chapter"] == 2
    assert 0 < best["score"] <= 1

    limited = await reader.ok(
        "POST", "/api/ai/search/passages", {"novel_id": novel_id, "query": "the bell", "until_chapter": 1}
    )
    assert limited["passages"]
    assert {passage["chapter"] for passage in limited["passages"]} <= {0, 1}

    names = {c["name"] for c in (await reader.ok("GET", f"/api/novels/{novel_id}/characters"))["characters"]}
    assert any("Isolde" in name for name in names)
    assert any("Harrow" in name for name in names)


async def test_identical_searches_are_answered_at_the_edge(talk: Talk) -> None:
    body = {"novel_id": talk.novel_id, "query": f"green book {uuid.uuid4()}"}
    first = await talk.reader.call("POST", "/api/search/passages", body)
    second = await talk.reader.call("POST", "/api/search/passages", body)
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    assert first.json() == second.json()


async def test_an_opening_tells_its_progress_then_speaks(talk: Talk) -> None:
    params = {"scenario_id": talk.scenario_id, "character_id": talk.character_id, "request_id": uuid.uuid4().hex}
    events = await talk.reader.all_events("GET", "/api/conversations/create-stream", params=params)
    assert [event.data["progress"] for event in events if event.name == "progress"] == [20, 50, 70, 100]
    assert [event.name for event in events][-1] == "complete"
    complete = events[-1].data
    assert text_of(events) == complete["content"]
    assert complete["content"].split()[:2] == ["word1", "word2"]
    messages = (await talk.reader.ok("GET", f"/api/conversations/{complete['conversation_id']}/messages"))["messages"]
    assert [(m["message_id"], m["content"], m["role"]) for m in messages] == [
        (complete["message_id"], complete["content"], "MESSAGE_ROLE_CHARACTER")
    ]

    again = await talk.reader.all_events("GET", "/api/conversations/create-stream", params=params)
    assert again[-1].data["conversation_id"] == complete["conversation_id"]
    assert again[-1].data["message_id"] == complete["message_id"]
    assert text_of(again) == complete["content"]


async def test_a_reply_streams_over_time_and_is_stored(talk: Talk) -> None:
    path = f"/api/conversations/{talk.conversation_id}/messages-stream"
    events = await talk.reader.all_events("POST", path, {"content": "Who are you?", "request_id": uuid.uuid4().hex})
    tokens = [event for event in events if event.name == "token"]
    assert len(tokens) > SCRIPTED_TOKENS / 2
    assert tokens[-1].at - tokens[0].at > tokens[0].at - events[0].at
    complete = events[-1].data
    assert text_of(events) == complete["content"]
    assert complete["usage"]["completion_tokens"] == SCRIPTED_TOKENS
    stored = (await talk.reader.ok("GET", f"/api/conversations/{talk.conversation_id}/messages?page_size=100"))[
        "messages"
    ]
    reply = next(m for m in stored if m["message_id"] == complete["message_id"])
    assert reply["content"] == complete["content"]
    assert reply["record"]["provider"] == "scripted"
    assert reply["record"]["completion_tokens"] == SCRIPTED_TOKENS
    asked = stored[stored.index(reply) - 1]
    assert (asked["content"], asked["role"]) == ("Who are you?", "MESSAGE_ROLE_READER")


@pytest.mark.parametrize("prefix", ["/api", "/api/ai"])
async def test_an_event_source_can_only_get_and_is_one_request_however_often(talk: Talk, prefix: str) -> None:
    path = f"{prefix}/conversations/{talk.conversation_id}/messages-stream"
    params = {"content": "한글 질문?", "request_id": uuid.uuid4().hex}
    async with httpx.AsyncClient(base_url=talk.reader.client.base_url, timeout=30) as browser:
        browser.cookies.set("gaji_access_token", talk.reader.token)
        guest = Reader(browser, "", "")
        first = await guest.all_events("GET", path, params=params)
        second = await guest.all_events("GET", path, params=params)
    assert first[-1].name == second[-1].name == "complete"
    assert first[-1].data["message_id"] == second[-1].data["message_id"]
    assert text_of(first) == text_of(second)


async def test_several_replies_at_once_do_not_mix(talk: Talk) -> None:
    async def one(number: int) -> list[Event]:
        params = {"scenario_id": talk.scenario_id, "character_id": talk.character_id, "request_id": uuid.uuid4().hex}
        return await talk.reader.all_events("GET", "/api/conversations/create-stream", params=params)

    for events in await asyncio.gather(*map(one, range(20))):
        assert events[-1].name == "complete"
        assert text_of(events) == events[-1].data["content"]
        message_id = uuid.UUID(events[-1].data["message_id"]).hex
        assert [event.id for event in events] == [f"{message_id}.1.{n}" for n in range(1, len(events) + 1)]


async def test_a_guest_who_registers_keeps_everything(stack: Any, reader: Reader) -> None:
    novel_id = await reader.add_novel("Mine", STORY, visibility="VISIBILITY_PRIVATE")
    body = {"email": f"{uuid.uuid4().hex}@example.org", "password": "correct horse battery", "display_name": "Ann"}
    session = await reader.ok("POST", "/api/auth/register", body)
    headers = {"authorization": f"Bearer {session['access_token']}"}
    assert (await reader.ok("GET", "/api/users/me", headers=headers))["display_name"] == "Ann"
    assert (await reader.ok("GET", f"/api/novels/{novel_id}", headers=headers))["title"] == "Mine"
    login = await reader.ok("POST", "/api/auth/login", {k: body[k] for k in ("email", "password")})
    assert login["user_id"] == session["user_id"] == reader.user_id


async def test_deleting_a_novel_takes_its_passages_along(reader: Reader) -> None:
    novel_id = await reader.add_novel("Short-lived", STORY)
    assert (await reader.call("DELETE", f"/api/novels/{novel_id}")).status_code == 204
    assert (await reader.call("GET", f"/api/novels/{novel_id}")).status_code == 404
    gone = await reader.call("POST", "/api/search/passages", {"novel_id": novel_id, "query": "the bell"})
    assert gone.status_code == 404


async def test_health_ready_openapi_and_docs(reader: Reader) -> None:
    assert (await reader.call("GET", "/health")).status_code == 200
    ready = await reader.call("GET", "/ready")
    assert ready.status_code == 200
    document = await reader.ok("GET", "/openapi.json")
    assert "/api/search/passages" in document["paths"]
    assert (await reader.call("GET", "/docs")).headers["content-type"].startswith("text/html")


async def test_an_empty_message_is_refused_before_the_stream(talk: Talk) -> None:
    path = f"/api/conversations/{talk.conversation_id}/messages-stream"
    answer = await talk.reader.call("POST", path, {"content": "  "})
    assert answer.status_code == 400
    assert "content" in answer.json()["error"]["fields"]


async def test_closing_the_connection_frees_the_call_and_leaves_the_reply(stack: Any, talk: Talk) -> None:
    path = f"/api/conversations/{talk.conversation_id}/messages-stream"
    request_id = uuid.uuid4().hex
    generation = stack["services"]["generation"][0]["admin"]
    async for event in talk.reader.events("POST", path, {"content": "Go on.", "request_id": request_id}):
        if event.name == "token":
            assert await in_flight(generation) >= 1
            break
    async with asyncio.timeout(10):
        while await in_flight(generation) > 0:
            await asyncio.sleep(0.05)
    again = await talk.reader.all_events("POST", path, {"content": "Go on.", "request_id": request_id})
    assert again[-1].name == "complete"
    assert again[-1].id.split(".")[1] == "1", "it is the same writer's"
    messages = f"/api/conversations/{talk.conversation_id}/messages?page_size=100"
    stored = (await talk.reader.ok("GET", messages))["messages"]
    assert stored[-1]["message_id"] == again[-1].data["message_id"]
    assert stored[-1]["content"] == text_of(again)


async def in_flight(admin: str) -> float:
    """How many replies generation is writing."""
    url = admin if admin.startswith("http") else f"http://{admin}"
    async with httpx.AsyncClient(timeout=5) as client:
        lines = (await client.get(f"{url}/metrics")).text.splitlines()
    name = 'gaji_rpc_in_flight{grpc_method="gaji.generation.v1.GenerationService/StreamReply"}'
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

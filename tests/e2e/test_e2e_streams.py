"""Replies that live by themselves: asked for many times, left, resumed, stopped, made anew, on the real stack."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from benchmarks.faults.killing import count_of
from benchmarks.faults.running import Stack
from tests.e2e.conftest import Talk
from tests.e2e.reader import Event, Reader
from tests.fixtures.stack import RunningStack

TEXT = " ".join(f"word{number}" for number in range(1, 101))
COMPLETE, STOPPED = "MESSAGE_STATUS_COMPLETE", "MESSAGE_STATUS_STOPPED"
SECONDS = 60.0


@pytest.fixture
async def conversation(talk: Talk) -> str:
    """A conversation of the test's own, with an opening."""
    made = await begun(talk)
    await whole(talk.reader, made["conversation_id"], 1)
    return str(made["conversation_id"])


@pytest.fixture
async def second(talk: Talk) -> AsyncIterator[Reader]:
    """Another client of the same reader."""
    async with httpx.AsyncClient(base_url=talk.reader.client.base_url, timeout=SECONDS) as client:
        client.headers["authorization"] = f"Bearer {talk.reader.token}"
        yield Reader(client, talk.reader.token, talk.reader.user_id)


async def begun(talk: Talk) -> Any:
    body = {"scenario_id": talk.scenario_id, "character_id": talk.character_id, "request_id": uuid.uuid4().hex}
    answer = await talk.reader.call("POST", "/api/conversations", body)
    assert answer.status_code == 202
    return answer.json()


async def messages_of(reader: Reader, conversation_id: str) -> list[Any]:
    return list((await reader.ok("GET", f"/api/conversations/{conversation_id}/messages"))["messages"])


async def whole(reader: Reader, conversation_id: str, count: int) -> list[Any]:
    """The messages when there are so many and the last is whole; nobody watches it meanwhile."""
    async with asyncio.timeout(SECONDS):
        while True:
            messages = await messages_of(reader, conversation_id)
            if len(messages) == count and messages[-1]["status"] == COMPLETE:
                return messages
            await asyncio.sleep(0.05)


async def first_events(reader: Reader, path: str, body: Any, tokens: int) -> list[Event]:
    """The events up to some token; then the connection is closed."""
    events: list[Event] = []
    async with aclosing(reader.events("POST", path, body)) as stream:  # type: ignore[type-var]  # it is a generator
        async for event in stream:
            events.append(event)
            if sum(event.name == "token" for event in events) == tokens:
                break
    return events


def stream_of(conversation_id: str) -> str:
    return f"/api/conversations/{conversation_id}/messages-stream"


def said(content: str) -> dict[str, str]:
    return {"content": content, "request_id": uuid.uuid4().hex}


def message_of(event: Event) -> str:
    """The message that an event's cursor is of."""
    return str(uuid.UUID(event.id.partition(".")[0]))


def text_of(events: list[Event]) -> str:
    return "".join(event.data["content"] for event in events if event.name == "token")


def seen(events: list[Event]) -> list[tuple[str, str, Any]]:
    """Events without their times."""
    return [(event.name, event.id, event.data) for event in events]


async def generations(running: RunningStack) -> float:
    """How many replies have been written."""
    async with httpx.AsyncClient() as http:
        replicas = Stack(running.data_dir).replicas("generation")
        return sum([await count_of(http, replica, "gaji_generations_total") for replica in replicas])


async def test_one_request_fifty_times_at_once_is_one_reply(
    running_stack: RunningStack, talk: Talk, conversation: str
) -> None:
    before = await generations(running_stack)
    body = said("Who are you?")
    asked = (talk.reader.all_events("POST", stream_of(conversation), body) for _ in range(50))
    first, *others = [seen(events) for events in await asyncio.gather(*asked)]
    assert all(other == first for other in others)
    assert first[-1][0] == "complete"
    assert first[-1][2]["content"] == TEXT
    messages = await messages_of(talk.reader, conversation)
    assert [message["content"] for message in messages] == [TEXT, "Who are you?", TEXT]
    assert await generations(running_stack) == before + 1


async def test_a_reply_goes_on_when_all_have_left_and_is_there_later(talk: Talk, conversation: str) -> None:
    body = said("Go on.")
    leaving = (first_events(talk.reader, stream_of(conversation), body, tokens) for tokens in (1, 5, 10))
    events = max(await asyncio.gather(*leaving), key=len)
    message_id = message_of(events[-1])
    await whole(talk.reader, conversation, 3)
    watched = await talk.reader.all_events("GET", f"/api/conversations/{conversation}/messages/{message_id}/events")
    assert seen(watched)[: len(events)] == seen(events)
    assert text_of(watched) == watched[-1].data["content"] == TEXT
    assert seen(await talk.reader.all_events("POST", stream_of(conversation), body)) == seen(watched)


async def test_a_stop_from_elsewhere_ends_the_stream_and_keeps_the_text(
    talk: Talk, conversation: str, second: Reader
) -> None:
    events: list[Event] = []
    stopping: asyncio.Task[Any] | None = None
    async for event in talk.reader.events("POST", stream_of(conversation), said("Tell me all.")):
        events.append(event)
        if event.name == "token" and stopping is None:
            path = f"/api/conversations/{conversation}/messages/{message_of(event)}:stop"
            stopping = asyncio.create_task(second.ok("POST", path, {}))
    assert stopping is not None
    answer = await stopping
    stopped = events[-1]
    assert stopped.name == "stopped"
    assert answer == {"message_id": message_of(stopped), "outcome": "stopped", "content": stopped.data["content"]}
    assert text_of(events) == stopped.data["content"]
    assert TEXT.startswith(text_of(events))
    reply = (await messages_of(talk.reader, conversation))[-1]
    assert (reply["status"], reply["content"]) == (STOPPED, text_of(events))
    path = f"/api/conversations/{conversation}/messages/{message_of(stopped)}"
    assert (await second.ok("POST", f"{path}:stop", {})) == answer
    assert seen(await second.all_events("GET", f"{path}/events")) == seen(events)


async def test_a_stream_goes_on_after_any_of_its_events(talk: Talk, conversation: str) -> None:
    stream, body = stream_of(conversation), said("And then?")
    events = await talk.reader.all_events("POST", stream, body)
    watch = f"/api/conversations/{conversation}/messages/{message_of(events[-1])}/events"
    for at in (0, 3, len(events) // 2, len(events) - 2):
        cursor, rest = events[at].id, seen(events[at + 1 :])
        header = {"Last-Event-ID": cursor}
        resumed = [
            await talk.reader.all_events("POST", stream, body, headers=header),
            await talk.reader.all_events("GET", stream, params=body, headers=header),
            await talk.reader.all_events("GET", stream, params={**body, "after": cursor}),
            await talk.reader.all_events("GET", watch, headers=header),
            await talk.reader.all_events("GET", watch, params={"after": cursor}),
        ]
        assert [seen(each) for each in resumed] == [rest] * 5


async def test_after_the_end_there_is_no_content(talk: Talk, conversation: str) -> None:
    stream, body = stream_of(conversation), said("Is that all?")
    events = await talk.reader.all_events("POST", stream, body)
    watch = f"/api/conversations/{conversation}/messages/{message_of(events[-1])}/events"
    header = {"Last-Event-ID": events[-1].id}
    for answer in (
        await talk.reader.call("GET", stream, params=body, headers=header),
        await talk.reader.call("POST", stream, body, headers=header),
        await talk.reader.call("GET", watch, headers=header),
        await talk.reader.call("GET", watch, params={"after": events[-1].id}),
    ):
        assert (answer.status_code, answer.content) == (204, b"")


async def test_a_cursor_that_is_none_of_the_stream_is_refused(talk: Talk, conversation: str) -> None:
    events = await talk.reader.all_events("POST", stream_of(conversation), said("One."))
    opening = await talk.reader.all_events("GET", f"/api/conversations/{conversation}/events")
    watch = f"/api/conversations/{conversation}/messages/{message_of(events[-1])}/events"
    of_the_opening, of_nothing = opening[2].id, f"{uuid.uuid4().hex}.1.1"
    for cursor in (of_the_opening, of_nothing, "12", "x" * 50, f"{events[0].id}.1"):
        for answer in (
            await talk.reader.call("GET", watch, params={"after": cursor}),
            await talk.reader.call("GET", watch, headers={"Last-Event-ID": cursor}),
        ):
            assert answer.status_code == 400
            assert set(answer.json()["error"]["fields"]) == {"after"}
    stranger = await talk.reader.call(
        "GET", stream_of(conversation), params={"content": "One.", "request_id": "other", "after": of_nothing}
    )
    assert (stranger.status_code, set(stranger.json()["error"]["fields"])) == (400, {"after"})


async def test_an_opening_is_written_without_anybody_asking(talk: Talk) -> None:
    made = await begun(talk)
    conversation_id = made["conversation_id"]
    (opening,) = await whole(talk.reader, conversation_id, 1)
    assert (opening["message_id"], opening["content"]) == (made["message_id"], TEXT)
    events = await talk.reader.all_events("GET", f"/api/conversations/{conversation_id}/events")
    assert text_of(events) == events[-1].data["content"] == TEXT
    assert events[-1].data["message_id"] == made["message_id"]


async def test_an_opening_can_be_watched_from_the_moment_that_it_is_promised(talk: Talk) -> None:
    made = await begun(talk)
    events = await talk.reader.all_events("GET", f"/api/conversations/{made['conversation_id']}/events")
    assert text_of(events) == events[-1].data["content"] == TEXT
    assert events[-1].data["message_id"] == made["message_id"]


async def test_branches_forks_exports_and_deletions(talk: Talk, conversation: str) -> None:
    reader, path = talk.reader, f"/api/conversations/{conversation}"
    first = (await reader.all_events("POST", stream_of(conversation), said("What did you see?")))[-1].data
    _, question, _ = await messages_of(reader, conversation)

    again = {"request_id": uuid.uuid4().hex}
    other = (await reader.all_events("POST", f"{path}/messages/{first['message_id']}:regenerate", again))[-1].data
    assert other["message_id"] != first["message_id"]
    assert other["content"] == TEXT
    beside = (await reader.ok("GET", f"{path}/messages/{first['message_id']}/alternatives"))["messages"]
    assert [m["message_id"] for m in beside] == [first["message_id"], other["message_id"]]
    assert [m["message_id"] for m in await messages_of(reader, conversation)][-1] == other["message_id"]
    chosen = await reader.ok("POST", f"{path}/messages/{first['message_id']}:choose", {})
    assert chosen["head_message_id"] == first["message_id"]
    assert [m["message_id"] for m in await messages_of(reader, conversation)][-1] == first["message_id"]

    edit = f"{path}/messages/{question['message_id']}:edit"
    answered = (await reader.all_events("POST", edit, said("What did you hear?")))[-1].data
    branch = await messages_of(reader, conversation)
    assert [m["content"] for m in branch] == [TEXT, "What did you hear?", TEXT]
    assert branch[-1]["message_id"] == answered["message_id"]

    fork = {"request_id": uuid.uuid4().hex}
    forked = [await reader.call("POST", f"{path}/messages/{first['message_id']}:fork", fork) for _ in range(2)]
    assert [answer.status_code for answer in forked] == [201, 201]
    assert forked[0].json()["conversation_id"] == forked[1].json()["conversation_id"]
    copy = forked[0].json()
    assert copy["forked_from_id"] == conversation
    copied = await messages_of(reader, copy["conversation_id"])
    assert [m["content"] for m in copied] == [TEXT, "What did you see?", TEXT]
    assert not {m["message_id"] for m in copied} & {first["message_id"], question["message_id"]}

    exported = await reader.ok("GET", f"{path}/export")
    assert [m["content"] for m in exported["messages"]] == [TEXT, "What did you hear?", TEXT]
    markdown = await reader.call("GET", f"{path}/export", params={"format": "markdown"})
    assert markdown.headers["content-type"].startswith("text/markdown")
    assert "What did you hear?" in markdown.text

    assert (await reader.call("DELETE", f"{path}/messages/{answered['message_id']}")).status_code == 204
    left = await messages_of(reader, conversation)
    assert answered["message_id"] not in {m["message_id"] for m in left}
    assert (await reader.call("DELETE", path)).status_code == 204
    assert (await reader.call("GET", path)).status_code == 404
    assert len(await messages_of(reader, copy["conversation_id"])) == 3

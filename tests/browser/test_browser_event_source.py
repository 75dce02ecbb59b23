"""Replies in a real browser, heard by its own EventSource: it comes back by itself and knows when it is over."""

import asyncio
import uuid
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.browser.front import Front
from tests.browser.tabs import SECONDS, Browser
from tests.e2e.conftest import Talk

pytestmark = pytest.mark.timeout(300)  # the stack, a novel and the browser's packages come first

TEXT = " ".join(f"word{number}" for number in range(1, 101))
CONNECTING, CLOSED = 0, 2  # EventSource.readyState


@pytest.fixture
async def conversation(talk: Talk) -> str:
    """The path of a conversation of the test's own, with a whole opening."""
    body = {"scenario_id": talk.scenario_id, "character_id": talk.character_id, "request_id": uuid.uuid4().hex}
    made = await talk.reader.ok("POST", "/api/conversations", body)
    path = f"/api/conversations/{made['conversation_id']}"
    assert (await talk.reader.all_events("GET", f"{path}/events"))[-1].name == "complete"
    return path


def asking(conversation: str) -> str:
    """What an EventSource opens to ask something."""
    return f"{stream_of(conversation)}?{urlencode({'content': 'Who are you?', 'request_id': uuid.uuid4().hex})}"


def stream_of(conversation: str) -> str:
    return f"{conversation}/messages-stream"


def reply_of(events: list[Any]) -> str:
    """The id of the message that events are of."""
    return str(uuid.UUID(events[0]["id"].partition(".")[0]))


def text_of(events: list[Any]) -> str:
    return "".join(event["data"]["content"] for event in events if event["name"] == "token")


def words(count: int) -> str:
    return " ".join(TEXT.split()[:count])


async def contents(talk: Talk, conversation: str) -> list[str]:
    return [message["content"] for message in (await talk.reader.ok("GET", f"{conversation}/messages"))["messages"]]


def assert_whole(page: Any) -> None:
    """That a page heard a reply from its beginning to its end, each event once, and that its browser then let go."""
    names = [event["name"] for event in page["events"]]
    progress = names.count("progress")
    assert progress > 0
    assert names == ["progress"] * progress + ["token"] * 100 + ["complete"]
    ids = [event["id"] for event in page["events"]]
    assert len(set(ids)) == len(ids)
    assert page["text"] == text_of(page["events"]) == page["events"][-1]["data"]["content"] == TEXT
    assert page["state"] == CLOSED
    assert page["breaks"][-1] == {"state": CLOSED, "id": ids[-1]}


async def test_a_browser_hears_a_reply_and_does_not_ask_again(
    talk: Talk, conversation: str, browser: Browser, front: Front
) -> None:
    async with browser.tab(front.url) as tab:
        await tab.call("listen", asking(conversation))
        page = await tab.call("closed")
    assert_whole(page)
    end = page["events"][-1]["id"]
    assert page["breaks"] == [{"state": CONNECTING, "id": end}, {"state": CLOSED, "id": end}]
    requests = front.requests(stream_of(conversation))
    assert [(request.last_event_id, request.status) for request in requests] == [(None, 200), (end, 204)]
    assert await contents(talk, conversation) == [TEXT, "Who are you?", TEXT]


async def test_a_browser_whose_network_breaks_goes_on_where_it_was(
    talk: Talk, conversation: str, browser: Browser, front: Front
) -> None:
    async with browser.tab(front.url) as tab:
        front.cut_after("word20")  # an event begun and never ended
        await tab.call("listen", asking(conversation))
        await asyncio.wait_for(front.turned_away.wait(), SECONDS)  # it tries by itself, in vain at first
        front.mend()
        page = await tab.call("closed")
    assert_whole(page)
    first, *rest = page["breaks"]
    assert {each["state"] for each in rest[:-1]} == {CONNECTING}
    requests = front.requests(stream_of(conversation))
    assert [(request.last_event_id, request.status) for request in requests] == [
        (None, 200),
        (first["id"], 200),
        (page["events"][-1]["id"], 204),
    ]
    seen = [event["id"] for event in page["events"]].index(first["id"]) + 1
    assert TEXT.startswith(text_of(page["events"][:seen]))
    assert len(text_of(page["events"][:seen]).split()) < 20
    assert await contents(talk, conversation) == [TEXT, "Who are you?", TEXT]


async def test_two_tabs_show_a_reply_and_one_stops_it_for_both(
    talk: Talk, conversation: str, browser: Browser, front: Front
) -> None:
    async with browser.tab(front.url) as asker, browser.tab(front.url) as first, browser.tab(front.url) as second:
        await asker.call("listen", asking(conversation))
        reply = f"{conversation}/messages/{reply_of((await asker.call('heard', 1))['events'])}"
        await first.call("listen", f"{reply}/events")
        await second.call("listen", f"{reply}/events")
        answer = await second.call("stopAfter", 5, reply)
        live = [await tab.call("heard", 5) for tab in (first, second)]
        pages = [await tab.call("closed") for tab in (asker, first, second)]
    assert answer["outcome"] == "stopped"
    assert all(page["text"].startswith(words(5)) for page in live)
    for page in pages:
        assert page["events"] == pages[0]["events"]
        assert page["events"][-1]["name"] == "stopped"
        assert page["text"] == page["events"][-1]["data"]["content"] == answer["content"]
        assert page["state"] == CLOSED
    assert answer["content"] != TEXT
    assert TEXT.startswith(answer["content"])
    requests = front.requests(f"{reply}/events")
    assert sorted(request.status for request in requests) == [200, 200, 204, 204]
    assert await contents(talk, conversation) == [TEXT, "Who are you?", answer["content"]]


async def test_a_page_that_is_loaded_anew_shows_the_whole_reply(
    talk: Talk, conversation: str, browser: Browser, front: Front
) -> None:
    async with browser.tab(front.url) as tab:
        await tab.call("listen", asking(conversation))
        before = await tab.call("heard", 20)
        await tab.reload()
        watch = f"{conversation}/messages/{reply_of(before['events'])}/events"
        await tab.call("listen", watch)
        after = await tab.call("closed")
    assert before["text"] == words(20)
    assert_whole(after)
    assert after["events"][: len(before["events"])] == before["events"]
    requests = front.requests(watch)
    assert [(request.last_event_id, request.status) for request in requests] == [
        (None, 200),
        (after["events"][-1]["id"], 204),
    ]
    assert await contents(talk, conversation) == [TEXT, "Who are you?", TEXT]

"""One reader's ids in another's hands, on every route of the contract.

The requests are made from the descriptors, so a new route is tried as soon as it is annotated; one with an id that is
not known here fails until it is.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from google.protobuf.descriptor import FieldDescriptor

from gateway.bindings import Route
from gateway.raw_body import takes_bytes
from tests.e2e.conftest import talk_of
from tests.e2e.reader import Reader, reader_at
from tests.fixtures.stack import RunningStack
from tests.hostile.conftest import ROUTES, every_route

# A value that the field takes, so that a refusal is one of the ids and of nothing else.
SAMPLES: dict[str, Any] = {
    "after": None,
    "aliases": {"names": ["Nobody"]},
    "as_found": None,
    "author": "Nobody",
    "before": None,
    "chapter": 1,
    "content": "And then?",
    "description": "What if the bell had never rung?",
    "display_name": "Somebody else",
    "email": "somebody@example.com",
    "file": None,  # excludes text
    "file_name": None,
    "format": None,
    "hidden": False,
    "language": "en",
    "clear_until_chapter": None,
    "name": "Nobody at all",
    "page_size": None,
    "page_token": None,
    "password": "correct horse battery",
    "query": "the bell in the river",
    "refresh_token": "not one",
    "request_id": None,
    "reset": None,
    "text": "A story of one sentence.",
    "title": "Another title",
    "top_k": 3,
    "until_chapter": None,
    "until_read": None,
    "visibility": None,
}
REFUSED = {403, 404}


@dataclass(frozen=True, slots=True)
class Property:
    """What the victim has, by the name of the field that names it."""

    ids: dict[str, str]
    words: tuple[str, ...]


async def property_of(owner: Reader) -> Property:
    """A private novel, a scenario, a conversation with an answered message."""
    talk = await talk_of(owner, visibility="VISIBILITY_PRIVATE")
    sent = await talk.reader.all_events(
        "POST", f"/api/conversations/{talk.conversation_id}/messages-stream", {"content": "Who are you, ferryman?"}
    )
    assert sent[-1].name == "complete"
    listed = await talk.reader.ok("GET", f"/api/conversations/{talk.conversation_id}/messages")
    reply = listed["messages"][-1]
    found = await talk.reader.ok("POST", "/api/search/passages", {"novel_id": talk.novel_id, "query": "the bell"})
    people = (await talk.reader.ok("GET", f"/api/novels/{talk.novel_id}/characters"))["characters"]
    other = next(one for one in people if one["character_id"] != talk.character_id)
    return Property(
        ids={
            "novel_id": talk.novel_id,
            "scenario_id": talk.scenario_id,
            "character_id": talk.character_id,
            "merged_into_id": other["character_id"],
            "conversation_id": talk.conversation_id,
            "message_id": reply["message_id"],
            "passage_ids": found["passages"][0]["id"],
            "passage_id": found["passages"][0]["id"],
        },
        words=("Tobias", "Marrow Point", "Who are you, ferryman?", reply["content"][:60]),
    )


@pytest.fixture(scope="module")
async def theirs(running_stack: RunningStack) -> AsyncIterator[Property]:
    async with reader_at(running_stack.url) as victim:
        yield await property_of(victim)


def ids_in(route: Route) -> list[FieldDescriptor]:
    """The fields of a request that name something of somebody's."""
    return [f for f in route.rpc.input_type.fields if f.name.endswith(("_id", "_ids")) and f.name != "request_id"]


def request_for(route: Route, ids: dict[str, str], **more: Any) -> tuple[str, str, dict[str, Any]]:
    """Method, path, and the rest of an HTTP request on a route."""
    values: dict[str, Any] = {}
    for field in route.rpc.input_type.fields:
        if field in ids_in(route):
            assert field.name in ids, f"{field.full_name} is an id that this test does not know: say whose it is"
            values[field.name] = [ids[field.name]] if field.is_repeated else ids[field.name]
        else:
            assert field.name in SAMPLES, f"{field.full_name} is not known here: give it a sample"
            if SAMPLES[field.name] is not None:
                values[field.name] = SAMPLES[field.name]
    values |= more
    path = route.template.text
    for name in route.template.variables:
        path = path.replace(f"{{{name}}}", str(values.pop(name)))
    if takes_bytes(route):
        del values["text"]
        return route.verb, path, {"params": values, "content": b"A story of one sentence."}
    if route.body:
        return route.verb, path, {"json": values}
    return route.verb, path, {"params": values}


async def answer_to(client: httpx.AsyncClient, request: tuple[str, str, dict[str, Any]]) -> tuple[int, str]:
    """Status and body; of a stream the first kilobytes."""
    verb, path, rest = request
    async with client.stream(verb, path, **rest) as response:
        body = b""
        async for part in response.aiter_bytes():
            body += part
            if len(body) > 4096:
                break
        return response.status_code, body.decode(errors="replace")


@every_route
async def test_anothers_ids_are_worth_nothing(route: Route, theirs: Property, running_stack: RunningStack) -> None:
    async with reader_at(running_stack.url) as attacker:
        status, body = await answer_to(attacker.client, request_for(route, theirs.ids))
    if ids_in(route):
        assert status in REFUSED, f"{status}: {body}"
        assert json.loads(body)["error"]["reason"] != "ROUTE_NOT_FOUND"
    assert status < 500
    # A refusal repeats the id that it is of; a list may show what others have made public of the same story.
    told = theirs.words if ids_in(route) else theirs.ids.values()
    assert not [word for word in told if word in body]


@every_route
async def test_nobody_gets_in_without_a_token(route: Route, theirs: Property, running_stack: RunningStack) -> None:
    async with httpx.AsyncClient(base_url=running_stack.url, timeout=30) as anybody:
        status, body = await answer_to(anybody, request_for(route, theirs.ids))
    if not route.public:
        assert (status, json.loads(body)["error"]["reason"]) == (401, "TOKEN_MISSING")
    assert not [word for word in (*theirs.words, *theirs.ids.values()) if word in body]


@pytest.fixture
async def own(running_stack: RunningStack) -> Any:
    async with reader_at(running_stack.url) as owner:
        yield await property_of(owner), owner


async def test_the_same_requests_are_good_in_their_owners_hands(own: Any) -> None:
    # Otherwise the refusals above might be of the requests. What destroys comes last, the smallest first.
    mine, owner = own
    order = ["message_id", "conversation_id", "scenario_id", "novel_id"]
    destroys = [route for route in ROUTES if route.verb == "DELETE"]
    destroys.sort(key=lambda route: order.index(route.template.variables[-1]))
    for route in [route for route in ROUTES if route.verb != "DELETE" and ids_in(route)] + destroys:
        if route.path.endswith("/WatchReply") and "message_id" not in route.template.variables:
            continue  # of an opening, which this conversation does not have
        if route.path.endswith("/EditMessage"):
            continue  # of the reader's own message; the id here is a reply's
        status, body = await answer_to(owner.client, request_for(route, mine.ids))
        assert status < 400 or status == 409, f"{route.verb} {route.template.text}: {status} {body}"

"""One trace of a message shows every hop, read from what a real stack exports to a real OTLP receiver."""

import asyncio
import secrets
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest

from tests.e2e.conftest import Talk, talk_of
from tests.e2e.reader import STORY, Event, reader_at
from tests.fixtures.otlp import Received, Receiver, receiving
from tests.fixtures.servers import temporary_folder
from tests.fixtures.stack import RunningStack, start_stack

SECONDS = 40
MESSAGE = "Where is the green book that nobody may find?"
Spans = Sequence[Received]


@dataclass(frozen=True, slots=True)
class Traced:
    """A stack and where its spans go."""

    stack: RunningStack
    receiver: Receiver

    async def spans(self, trace_id: str, whole: Callable[[Spans], Any]) -> Spans:
        """A trace, once there is all of it that a test looks for."""
        found: Spans = ()
        for _ in range(SECONDS * 20):
            found = self.receiver.trace(trace_id)
            if whole(found):
                return found
            await asyncio.sleep(0.05)
        pytest.fail(f"the trace is not whole:\n{tree(found)}")


@pytest.fixture(scope="module")
def traced() -> Iterator[Traced]:
    """A stack that records all of its requests."""
    with receiving() as receiver, temporary_folder() as folder:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        env |= {"GAJI_SCRIPTED_TOKENS": "40", "GAJI_SCRIPTED_RATE": "40"}
        with start_stack(folder / "data", "--no-sample", env=env) as running:
            running.wait_for_workers()
            yield Traced(running, receiver)


def begun() -> tuple[str, str, dict[str, str]]:
    """A trace as a browser begins it: its id, its span's, and the header."""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    return trace_id, span_id, {"traceparent": f"00-{trace_id}-{span_id}-00"}


def tree(spans: Spans) -> str:
    """A trace for people."""
    known = {span.span_id for span in spans}

    def lines(parent: str | None, depth: int) -> Iterator[str]:
        for span in spans:
            if (span.parent_id if span.parent_id in known else None) == parent:
                label = f"{'  ' * depth}{span.name} [{span.service.removeprefix('gaji-')}, {span.kind.lower()}]"
                took = f"{(span.ended - span.started) / 1e6:7.1f} ms"
                events = f"  ({', '.join(span.event_names)})" if span.events else ""
                yield f"{took}  {label}{events}"
                yield from lines(span.span_id, depth + 1)

    return "\n".join(lines(None, 0))


def by_name(spans: Spans, name: str, service: str = "", kind: str = "") -> list[Received]:
    return [span for span in spans if span.name == name and service in {"", span.service} and kind in {"", span.kind}]


def path_of(spans: Spans, leaf: Received) -> list[str]:
    """The services that a span stands behind, from the edge on."""
    known = {span.span_id: span for span in spans}
    services = [leaf.service]
    while (above := known.get(leaf.parent_id)) is not None:
        leaf = above
        if services[-1] != leaf.service:
            services.append(leaf.service)
    return [service.removeprefix("gaji-") for service in reversed(services)]


async def limited(talk: Talk) -> Talk:
    """A conversation under a spoiler limit, for which search looks into its store as well as into its index."""
    about = {"novel_id": talk.novel_id, "title": "No coins", "description": "What if?", "until_chapter": 2}
    scenario = await talk.reader.ok("POST", "/api/scenarios", about)
    begin = {"scenario_id": scenario["scenario_id"], "character_id": talk.character_id, "request_id": "limited"}
    conversation = await talk.reader.ok("POST", "/api/conversations", begin)
    return replace(talk, scenario_id=begin["scenario_id"], conversation_id=conversation["conversation_id"])


async def answered(
    talk: Talk, headers: dict[str, str], until: Callable[[list[Event]], bool] | None = None
) -> list[Event]:
    """The events of a message's reply, to its end or until there is enough."""
    seen: list[Event] = []
    path = f"/api/conversations/{talk.conversation_id}/messages-stream"
    body = {"content": MESSAGE, "request_id": uuid.uuid4().hex}
    stream = talk.reader.events("POST", path, body, headers=headers)
    try:
        async for event in stream:
            seen.append(event)
            if until is not None and until(seen):
                break
    finally:
        await stream.aclose()  # type: ignore[attr-defined]  # it is an async generator
    return seen


ROUTE = "POST /api/conversations/{conversation_id}/messages-stream"
STREAM = "gaji.generation.v1.GenerationService/StreamReply"
BEGINNING = "SELECT conversations scenarios messages INSERT messages UPDATE conversations"
HOPS = {
    (STREAM, "CLIENT"): ["gateway"],
    (STREAM, "SERVER"): ["gateway", "generation"],
    ("write reply", "INTERNAL"): ["gateway", "generation"],
    ("chat numbered-words", "CLIENT"): ["gateway", "generation"],
    ("gaji.library.v1.ConversationService/BeginReply", "SERVER"): ["gateway", "generation", "library"],
    (BEGINNING, "CLIENT"): ["gateway", "generation", "library"],
    ("gaji.library.v1.ConversationService/CompleteReply", "SERVER"): ["gateway", "generation", "library"],
    ("gaji.search.v1.SearchService/SearchPassages", "SERVER"): ["gateway", "generation", "search"],
    ("embeddings minilm", "INTERNAL"): ["gateway", "generation", "search"],
    ("chroma edits", "CLIENT"): ["gateway", "generation", "search"],
    ("gaji.cache.v1.CacheService/Lookup", "SERVER"): ["gateway", "generation", "search", "cache"],
    ("redis cache.lookup", "CLIENT"): ["gateway", "generation", "search", "cache"],
}
"""Spans of a message by name and kind, and the services that they stand behind."""


def rooted(spans: Spans) -> bool:
    """Whether one span alone has a parent that is not there: the browser's."""
    known = {span.span_id for span in spans}
    return sum(span.parent_id not in known for span in spans) == 1


async def test_one_trace_of_a_message_shows_every_hop(traced: Traced) -> None:
    async with reader_at(traced.stack.url) as guest:
        talk = await limited(await talk_of(guest))
        trace_id, browser, headers = begun()
        events = await answered(talk, headers)
        assert events[-1].name == "complete"

        def whole(spans: Spans) -> bool:
            hops = all(by_name(spans, name, f"gaji-{path[-1]}", kind) for (name, kind), path in HOPS.items())
            return hops and rooted(spans) and bool(by_name(spans, ROUTE))

        spans = await traced.spans(trace_id, whole)
    print(tree(spans))  # noqa: T201 - for whoever wants to see one: pytest -s
    (edge,) = by_name(spans, ROUTE)
    assert (edge.parent_id, edge.kind) == (browser, "SERVER")
    for (name, kind), path in HOPS.items():
        assert path in [path_of(spans, span) for span in by_name(spans, name, kind=kind)], tree(spans)
    assert not [span for span in spans if span.failed], tree(spans)
    assert edge.attributes["http.response.status_code"] == 200
    assert edge.attributes["gaji.stream.events"] == len(events)
    assert edge.event_names == ["first event"]
    (reply,) = by_name(spans, "write reply")
    assert reply.event_names == ["first token"]
    assert reply.attributes["gaji.reply.outcome"] == "complete"
    (model,) = by_name(spans, "chat numbered-words")
    assert model.parent_id == reply.span_id
    assert model.event_names == ["first token"]
    assert model.attributes["gen_ai.usage.output_tokens"] == 40
    ids = {span.attributes["gaji.request_id"] for span in spans if "gaji.request_id" in span.attributes}
    assert len(ids) == 1
    said = str([(span.name, span.attributes, span.events) for span in spans])
    assert "green book" not in said
    assert "word1" not in said
    assert talk.reader.token not in said


async def test_a_reader_who_comes_back_points_to_the_reply(traced: Traced) -> None:
    async with reader_at(traced.stack.url) as guest:
        talk = await talk_of(guest)
        first_trace, _, headers = begun()
        seen = await answered(talk, headers, lambda events: sum(each.name == "token" for each in events) >= 2)
        later_trace, _, headers = begun()
        path = f"/api/conversations/{talk.conversation_id}/messages-stream"
        rest = await guest.all_events("GET", path, headers={**headers, "last-event-id": seen[-1].id})
        assert rest[-1].name == "complete"
        numbers = [int(event.id.rpartition(".")[2]) for event in [*seen, *rest] if event.id]
        assert all(later == earlier + 1 for earlier, later in pairwise(numbers))
        begun_spans = await traced.spans(first_trace, lambda spans: by_name(spans, "write reply"))
        later = await traced.spans(later_trace, lambda spans: by_name(spans, STREAM, "gaji-generation"))
    (reply,) = by_name(begun_spans, "write reply")
    (reading,) = by_name(later, STREAM, "gaji-generation")
    assert reading.links == [(first_trace, reply.span_id)]
    assert not by_name(later, "write reply")


async def test_an_ingestion_is_one_trace_over_its_job(traced: Traced) -> None:
    async with reader_at(traced.stack.url) as guest:
        trace_id, _, headers = begun()
        novel = {"title": "The Ferry", "author": "A", "language": "en", "text": STORY}
        answer = await guest.ok("POST", "/api/novels", novel, headers=headers)
        await guest.all_events("GET", f"/api/novels/{answer['novel_id']}/ingestion-stream")
        ingest = "gaji.search.v1.SearchService/IngestNovel"
        run = "gaji.library.v1.NovelService/RunIngestion"
        spans = await traced.spans(
            trace_id,
            lambda spans: (
                rooted(spans)
                and by_name(spans, ingest, "gaji-search")
                and by_name(spans, run, "gaji-library")
                and by_name(spans, "process low_priority")
            ),
        )
    (process,) = by_name(spans, "process low_priority")
    assert process.kind == "CONSUMER"
    assert process.attributes["messaging.system"] == "celery"
    (send,) = by_name(spans, "send low_priority")
    assert process.parent_id == send.span_id
    assert path_of(spans, send) == ["gateway", "library", "jobs"]
    (running,) = by_name(spans, run, "gaji-library")
    assert path_of(spans, running) == ["gateway", "library", "jobs", "worker", "library"]
    (ingested,) = by_name(spans, ingest, "gaji-search")
    assert path_of(spans, ingested)[-3:] == ["worker", "library", "search"]
    below = [span for span in spans if span.service == "gaji-search"]
    assert any(span.attributes.get("db.system.name") == "chroma" for span in below)
    assert any(span.name.startswith("embeddings ") for span in below)
    assert "Tobias" not in str([(span.name, span.attributes) for span in spans])


async def test_whoever_is_asked_for_health_leaves_no_trace(traced: Traced) -> None:
    trace_id, _, headers = begun()
    async with reader_at(traced.stack.url) as guest:
        await guest.call("GET", "/health", headers=headers)
        other, _, headers = begun()
        await guest.call("GET", "/api/users/me", headers=headers)
        await traced.spans(other, lambda spans: by_name(spans, "GET /api/users/me"))
    assert not traced.receiver.trace(trace_id)

"""Processes are killed while replies are being written: nobody misses a word. `make faults` does the same at length."""

import asyncio
import random
from collections.abc import Iterator, Sequence

import httpx
import pytest

from benchmarks.faults.events import Blocks, Body, Text
from benchmarks.faults.killing import Killer, count_of
from benchmarks.faults.load import ANSWERED, Load, flaw_of, under_load, words
from benchmarks.faults.reader import Reader
from benchmarks.faults.running import Stack
from benchmarks.faults.scenarios import PAIRS
from benchmarks.faults.world import Client, World
from tests.fixtures.servers import temporary_folder
from tests.fixtures.stack import start_stack

TOKENS = 60
REPLIES = 12
_VICTIMS = ("generation", "worker-high", "gateway")


@pytest.fixture(scope="module")
def faulty() -> Iterator[Stack]:
    """A stack of pairs, for this module alone: its processes are killed."""
    env = {"GAJI_SCRIPTED_TOKENS": str(TOKENS)}
    with temporary_folder() as folder:
        with start_stack(folder / "data", "--no-sample", "--replicas", PAIRS, env=env) as running:
            running.wait_for_workers()
            yield Stack(running.data_dir)


def test_events_are_the_same_wherever_the_bytes_break() -> None:
    blocks = [
        b"retry: 2000\n\n",
        'event: token\nid: a.1.1\ndata: {"content":"한글 one"}\n\n'.encode(),
        b":\n\n",
        b'event: gap\ndata: {"first_sequence":2,"last_sequence":3}\n\nevent: seam\ndata: {"keep":2}\n\n',
        b'event: token\nid: a.2.4\ndata: {"content":"!"}\n\n',
    ]
    wire = b"".join(b"%x\r\n%b\r\n" % (len(block), block) for block in blocks) + b"0\r\n\r\n"
    for at in range(len(wire)):
        body, taken, text = Body(), Blocks(), Text()
        events = [event for part in (wire[:at], wire[at:]) for event in taken.feed(body.feed(part))]
        for event in events:
            if event.data is not None:
                text.take(event)
        assert body.ended
        assert [event.id for event in events if event.id] == ["a.1.1", "a.2.4"]
        assert events[0].retry_ms == 2000
        assert (str(text), text.seams, text.gaps) == ("한글!", 1, 1)


def test_the_check_finds_whatever_is_not_exact() -> None:
    text = words(3)
    said = {"content": "Well?", "status": "MESSAGE_STATUS_COMPLETE"}
    reply = {"content": text, "status": "MESSAGE_STATUS_COMPLETE"}
    whole = [reply, said, reply]
    assert not flaw_of(whole, "Well?", text, text, text)
    wrong = "word1 word3"
    assert "assembled" in flaw_of(whole, "Well?", wrong, text, text)
    assert "the end" in flaw_of(whole, "Well?", text, wrong, text)
    assert "stored" in flaw_of([reply, said, {**reply, "content": wrong}], "Well?", text, text, text)
    assert "assembled" in flaw_of(whole, "Well?", text[:-1], text, text)
    assert "PENDING" in flaw_of([reply, said, {**reply, "status": "MESSAGE_STATUS_PENDING"}], "Well?", text, text, text)
    assert "question" in flaw_of(whole, "What?", text, text, text)
    assert "4 messages" in flaw_of([*whole, reply], "Well?", text, text, text)


async def writers(stack: Stack, http: httpx.AsyncClient, least: int = 1) -> Sequence[float]:
    """How many replies each generation replica is writing, when together they write so many."""
    async with asyncio.timeout(60):
        while True:
            replicas = stack.replicas("generation")
            active = [await count_of(http, replica, "gaji_generations_active") for replica in replicas]
            if sum(active) >= least:
                return active
            await asyncio.sleep(0.02)


@pytest.mark.timeout(240)
async def test_every_reply_is_exact_while_processes_are_killed(faulty: Stack) -> None:
    chance = random.Random(7)

    async def fault(killer: Killer) -> None:
        async with httpx.AsyncClient() as http:
            for service in _VICTIMS:
                active = await writers(faulty, http)
                busiest = active.index(max(active)) if service == "generation" else 0
                assert await killer.kill(faulty.replicas(service)[busiest]) is not None
                await asyncio.sleep(1.0)  # the next one in the middle of the recovery

    async with Client(faulty.gateways) as client:
        world = await World(client).make()
        load = Load(REPLIES, TOKENS, every=0.3, cutting=0.5, lasting=True)
        report = await under_load("a small one", faulty, world, load, fault=fault, chance=chance)
    assert not [*report.wrong, *report.broken]
    assert report.exact == report.replies >= REPLIES
    assert sorted(report.kills) == ["gateway", "generation", "worker"]
    await faulty.settled()


@pytest.mark.timeout(240)
async def test_a_reply_that_nobody_watches_is_finished_after_its_writer_died(faulty: Stack) -> None:
    await faulty.settled()
    chance = random.Random(7)
    async with Client(faulty.gateways) as client, Killer(faulty, chance) as killer, httpx.AsyncClient() as http:
        world = await World(client).make()
        conversation_id = await world.conversation()
        question, path = world.question(conversation_id, 1)
        await asyncio.wait_for(Reader(faulty.gateways, path, client.token, chance).run(tokens=1), 60)
        active = await writers(faulty, http)
        assert await killer.kill(faulty.replicas("generation")[active.index(max(active))]) is not None
        reply = await client.completed(conversation_id, ANSWERED, 120.0)
        messages = await client.messages(conversation_id)
    said = words(TOKENS)
    assert not flaw_of(messages, question, said, reply["content"], said)
    await faulty.settled()

"""Replies and their readers while something happens to the stack, and whether each reply came out word by word."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.faults.killing import Killer, Killing
from benchmarks.faults.reader import SILENCE_SECONDS, Reader, Seen
from benchmarks.faults.running import Stack
from benchmarks.faults.world import World

ANSWERED = 3
"""Messages of a forked conversation that was answered once: the opening, the question and the reply."""


@dataclass(frozen=True, slots=True)
class Load:
    """How replies are asked for.

    Attributes:
        replies: how many at least.
        tokens: words of each.
        every: seconds from one beginning to the next.
        cutting: the probability that a connection is cut by its reader.
        seconds: after which what has not ended hangs.
        lasting: whether more are asked for until the fault is over.
        silence: seconds without a byte after which a reader connects again.
    """

    replies: int
    tokens: int
    every: float = 0.3
    cutting: float = 0.0
    seconds: float = 180.0
    lasting: bool = False
    silence: float = SILENCE_SECONDS


@dataclass(slots=True)
class Report:
    """What a run under load gave.

    Attributes:
        wrong: a sentence for each reply that is not exact.
        broken: a sentence for whatever else went wrong.
        gateway_resumes: streams that gateways went on with by themselves, as far as they lived to tell.
        recovery: seconds from a kill of a reply's writer to the next token at its reader.
        connected: of them, those of readers whose connection held meanwhile.
        repeated: requests other than streams that had to be sent again.
        seconds: from the first request to the last check.
    """

    name: str
    replies: int = 0
    wrong: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    kills: dict[str, int] = field(default_factory=dict)
    cuts: int = 0
    breaks: int = 0
    resumes: int = 0
    gateway_resumes: int = 0
    seams: int = 0
    gaps: int = 0
    hiccups: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    recovery: list[float] = field(default_factory=list)
    connected: list[float] = field(default_factory=list)
    repeated: int = 0
    seconds: float = 0.0

    @property
    def exact(self) -> int:
        """Replies that came out as they should."""
        return self.replies - len(self.wrong)


@dataclass(slots=True)
class _Reply:
    number: int
    conversation_id: str = ""
    content: str = ""
    seen: Seen = field(default_factory=Seen)


def words(tokens: int) -> str:
    """What the scripted model says."""
    return " ".join(f"word{number}" for number in range(1, tokens + 1))


async def under_load(
    name: str,
    stack: Stack,
    world: World,
    load: Load,
    *,
    fault: Callable[[Killer], Awaitable[None]],
    chance: random.Random,
) -> Report:
    """Has replies written and read while a fault runs its course, then checks every reply.

    Args:
        name: of the scenario.
        stack: what runs.
        world: what is talked about.
        load: how much.
        fault: what happens; cancelled when the last reader has ended.
        chance: decides what is left to chance.
    """
    report = Report(name)
    began, repeated = time.monotonic(), world.client.repeated
    async with Killer(stack, chance) as killer:
        happening = asyncio.ensure_future(fault(killer))
        replies: list[_Reply] = []
        tasks: list[asyncio.Task[None]] = []
        while len(tasks) < load.replies or (load.lasting and not happening.done()):
            replies.append(_Reply(len(tasks) + 1))
            reading = _one(world, replies[-1], load, random.Random(chance.random()))  # noqa: S311 - repeatable
            tasks.append(asyncio.create_task(reading))
            await asyncio.sleep(load.every * chance.uniform(0.5, 1.5))
        left = began + load.seconds - time.monotonic()
        await asyncio.wait(tasks, timeout=max(left, load.seconds / 2))
        happening.cancel()
        for result in await asyncio.gather(happening, return_exceptions=True):
            if isinstance(result, Exception):
                report.broken.append(f"the fault itself: {result!r}")
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        report.gateway_resumes = await killer.gateway_resumes()
    for reply, end in zip(replies, ends, strict=True):
        _add(report, reply.seen, killer.kills)
        if end is not None:
            what = "hangs" if isinstance(end, asyncio.CancelledError) else repr(end)
            report.wrong.append(f"reply {reply.number}: {what}, {len(str(reply.seen.text).split())} words so far")
        elif flaw := await _flaw(world, reply, words(load.tokens)):
            report.wrong.append(f"reply {reply.number} ({reply.conversation_id}): {flaw}")
    report.replies = len(replies)
    report.kills = dict(Counter(kill.service.partition("-")[0] for kill in killer.kills))
    report.repeated = world.client.repeated - repeated
    report.seconds = time.monotonic() - began
    return report


async def _one(world: World, reply: _Reply, load: Load, chance: random.Random) -> None:
    reply.conversation_id = await world.conversation()
    reply.content, path = world.question(reply.conversation_id, reply.number)
    reader = Reader(world.client.gateways, path, world.client.token, chance, load.cutting, silence=load.silence)
    reply.seen = reader.seen
    await reader.run()


async def _flaw(world: World, reply: _Reply, expected: str) -> str:
    """What is wrong with a reply; empty: nothing."""
    end = reply.seen.end
    if end is None or end.name != "complete":
        return f"ended with {end.name if end else 'nothing'}: {end.data if end else ''}"
    try:
        messages = await world.client.messages(reply.conversation_id)
    except (RuntimeError, TimeoutError) as error:
        return f"its messages can't be read: {error!r}"
    return flaw_of(messages, reply.content, str(reply.seen.text), end.data["content"], expected)


def flaw_of(messages: Sequence[dict[str, Any]], question: str, text: str, complete: str, expected: str) -> str:
    """What differs between what was assembled, what the stream's end said, what is stored, and what it should be."""
    if len(messages) != ANSWERED:
        return f"the conversation has {len(messages)} messages"
    said, stored = messages[-2], messages[-1]
    if said["content"] != question:
        return "the question is not as it was asked"
    if stored["status"] != "MESSAGE_STATUS_COMPLETE":
        return f"it is stored as {stored['status']}"
    for name, given in (("stored", stored["content"]), ("the end", complete), ("assembled", text)):
        if given != expected:
            at = next((n for n, (a, b) in enumerate(zip(given, expected, strict=False)) if a != b), None)
            where = f"differs from character {at} on" if at is not None else f"has {len(given)} characters"
            return f"{name} {where} (of {len(expected)})"
    return ""


def _add(report: Report, seen: Seen, kills: Sequence[Killing]) -> None:
    report.cuts += seen.cuts
    report.breaks += seen.breaks
    report.resumes += seen.resumes
    report.seams += seen.text.seams
    report.gaps += seen.text.gaps
    report.hiccups += seen.hiccups
    report.refused = dict(Counter(report.refused) + Counter(seen.refused))
    for taken in seen.resumptions:
        # The last token may have been on its way still when its writer was killed.
        since = [
            kill.at for kill in kills if kill.service == "generation" and taken.last - 0.25 <= kill.at < taken.next
        ]
        if since:
            report.recovery.append(taken.next - since[0])
            if taken.connected:
                report.connected.append(taken.next - since[0])

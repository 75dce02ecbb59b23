"""What happens to the stack while replies are being written."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import httpx
from redis.asyncio import Redis

from benchmarks.faults.killing import Killer, count_of
from benchmarks.faults.load import ANSWERED, Load, Report, flaw_of, under_load, words
from benchmarks.faults.reader import Reader
from benchmarks.faults.running import Stack
from benchmarks.faults.world import Client, World

PAIRS = "gateway=2,generation=2"
_ORDER = ("gateway", "generation", "library", "search", "cache", "jobs", "worker-high", "worker-low")
_INTO_IT = 3.0  # seconds from the first reply to the fault, when several are being written
_UNWATCHED = 3
_WRITERS = 4
_LEFT_AFTER = 20


@dataclass(frozen=True, slots=True)
class Fact:
    """A finding beside the table.

    Attributes:
        what: was tried.
        result: what came of it.
        ok: whether it is as it should be.
    """

    what: str
    result: str
    ok: bool = True


async def random_kills(stack: Stack, load: Load, chance: random.Random) -> Report:
    """A gateway, a generation replica or a worker is killed every three seconds."""

    async def fault(killer: Killer) -> None:
        await killer.at_random(3.0)

    return await _under("a process killed every 3 s", stack, load, fault=fault, chance=chance)


async def writers_killed(stack: Stack, load: Load, chance: random.Random) -> Report:
    """A generation replica that writes replies is killed while the other one does its work; then again."""

    async def fault(killer: Killer) -> None:
        for _ in range(_WRITERS):
            await asyncio.sleep(_INTO_IT)
            await stack.settled()
            if await killer.kill(victim := chance.choice(stack.replicas("generation"))):
                await stack.back(victim)

    return await _under("writers killed", stack, load, fault=fault, chance=chance)


async def valkey_killed(stack: Stack, load: Load, chance: random.Random) -> Report:
    """Valkey is killed, and comes back with its append-only file."""
    return await _under("Valkey killed", stack, load, fault=_killed(stack, "valkey"), chance=chance)


async def valkey_emptied(stack: Stack, load: Load, chance: random.Random) -> Report:
    """Valkey forgets everything, as one without an append-only file does when it dies."""

    async def fault(_killer: Killer) -> None:
        await asyncio.sleep(_INTO_IT)
        async with Redis.from_url(stack.valkey_url()) as redis:
            await redis.flushall()

    return await _under("Valkey emptied", stack, load, fault=fault, chance=chance)


async def postgres_killed(stack: Stack, load: Load, chance: random.Random) -> Report:
    """PostgreSQL's postmaster is killed, and recovers."""
    return await _under("PostgreSQL killed", stack, load, fault=_killed(stack, "postgres"), chance=chance)


async def rolling_restart(stack: Stack, load: Load, chance: random.Random) -> Report:
    """Every process but the stores is stopped politely, one after the other, each when the one before is back."""

    async def fault(killer: Killer) -> None:
        await asyncio.sleep(_INTO_IT)
        for service in _ORDER:
            for replica in stack.replicas(service):
                if await killer.kill(replica, signal.SIGTERM):
                    await stack.back(replica)

    return await _under("rolling restart", stack, load, fault=fault, chance=chance)


async def unwatched(stack: Stack, tokens: int, chance: random.Random) -> list[Fact]:
    """The writer of a reply is killed after its only reader has left; a sweep has it finished."""
    took: list[float] = []
    flaws: list[str] = []
    async with Client(stack.gateways) as client, Killer(stack, chance) as killer, httpx.AsyncClient() as http:
        world = await World(client).make()
        for number in range(1, _UNWATCHED + 1):
            conversation_id = await world.conversation()
            question, path = world.question(conversation_id, number)
            reader = Reader(stack.gateways, path, client.token, chance)
            await asyncio.wait_for(reader.run(tokens=_LEFT_AFTER), 30.0)
            active = {r: await count_of(http, r, "gaji_generations_active") for r in stack.replicas("generation")}
            writer = max(active, key=lambda replica: active[replica])
            at = time.monotonic()
            if not active[writer] or await killer.kill(writer) is None:
                flaws.append("its writer was not found")
                continue
            reply = await client.completed(conversation_id, ANSWERED, 120.0)
            took.append(time.monotonic() - at)
            messages = await client.messages(conversation_id)
            said = words(tokens)
            if flaw := flaw_of(messages, question, said, reply["content"], said):
                flaws.append(flaw)
            await stack.settled()
    writing = (tokens - _LEFT_AFTER) / 50
    result = f"{_UNWATCHED - len(flaws)}/{_UNWATCHED} exact, whole after {_listed(took)} s ({writing:.1f} s of writing)"
    return [Fact("writer killed, nobody watches", "; ".join([result, *flaws]), not flaws)]


async def _under(
    name: str,
    stack: Stack,
    load: Load,
    *,
    fault: Callable[[Killer], Awaitable[None]],
    chance: random.Random,
) -> Report:
    async with Client(stack.gateways) as client:
        world = await World(client).make()
        report = await under_load(name, stack, world, load, fault=fault, chance=chance)
        try:
            await stack.settled()
        except TimeoutError as error:
            report.broken.append(f"the stack does not recover: {error}")
        return report


def _killed(stack: Stack, service: str) -> Callable[[Killer], Awaitable[None]]:
    async def fault(killer: Killer) -> None:
        await asyncio.sleep(_INTO_IT)
        (replica,) = stack.replicas(service)
        if await killer.kill(replica):
            await stack.back(replica)

    return fault


def _listed(seconds: list[float]) -> str:
    return ", ".join(f"{each:.1f}" for each in seconds) or "-"


UNDER_LOAD: Mapping[str, Callable[[Stack, Load, random.Random], Awaitable[Report]]] = {
    "kills": random_kills,
    "writers": writers_killed,
    "valkey": valkey_killed,
    "flush": valkey_emptied,
    "postgres": postgres_killed,
    "rolling": rolling_restart,
}

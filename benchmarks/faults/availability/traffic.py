"""An open-loop load: requests are sent when they are due, however those before them fare."""

import asyncio
import random
import time
import uuid
from collections.abc import Mapping, Sequence

from benchmarks.faults.availability.attempts import CUT_SECONDS, DEADLINES
from benchmarks.faults.availability.message import Message
from benchmarks.faults.availability.records import MESSAGE, Record
from benchmarks.faults.availability.requests import Guest, Place, Sender
from benchmarks.faults.world import Client, World

MIX: Mapping[str, float] = {MESSAGE: 0.30, "search": 0.25, "read": 0.38, "opening": 0.05, "login": 0.02}
MOST = 10_000
"""Requests of one load at most."""
GUESTS = 8
_PASSWORD = "a light on the quay"  # noqa: S105 - of an account in a folder that is thrown away


async def made(client: Client, world: World | None = None) -> Place:
    """A novel, taken in, with a scenario, a character (those of a world, where there is one) and an account."""
    world = world or await World(client).make()
    email = f"{uuid.uuid4().hex[:12]}@example.com"
    account = {"email": email, "password": _PASSWORD, "display_name": "A keeper"}
    await client.ask("POST", "/api/auth/register", account)
    return Place(world.novel_id, world.character_id, email, _PASSWORD)


async def guests(gateways: Sequence[str], place: Place) -> list[Guest]:
    """Readers with new sessions and a scenario of their own."""
    found = []
    for _ in range(GUESTS):
        async with Client(gateways) as client:
            scenario = {"novel_id": place.novel_id, "title": "No boat", "description": "What if Edwin had stayed away?"}
            made_ = await client.ask("POST", "/api/scenarios", scenario)
            found.append(Guest(client.token, made_["scenario_id"]))
    return found


class Traffic:
    """Requests at a steady rate until it is stopped.

    Args:
        sender: sends them.
        rate: requests a second; the pauses between them vary by half.
        chance: decides on kinds and pauses.

    Attributes:
        records: of all requests, in the order of their beginnings.
        broken: what went wrong in the load itself.
        lag: seconds by which this process was late at most, as it shares the machine with what it measures.
    """

    def __init__(self, sender: Sender, rate: float, chance: random.Random) -> None:
        self.records: list[Record] = []
        self.broken: list[str] = []
        self.lag = 0.0
        self._sender = sender
        self._rate = rate
        self._chance = chance
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Sends no more; waits until those under way have ended, which each does by its deadline."""
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=2 * max(DEADLINES.values()) + 2 * CUT_SECONDS)
        left = set(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _run(self) -> None:
        kinds: Sequence[str] = list(MIX)
        weights = list(MIX.values())
        due = self._loop.time()
        while len(self.records) < MOST:
            due += self._chance.uniform(0.5, 1.5) / self._rate
            await asyncio.sleep(due - self._loop.time())
            self.lag = max(self.lag, self._loop.time() - due)
            (kind,) = self._chance.choices(kinds, weights)
            record = Record(kind, "", time.monotonic())
            self.records.append(record)
            guest = self._sender.guest()
            message = kind == MESSAGE
            sending = Message(self._sender, guest, record).run() if message else self._sender.send(kind, guest, record)
            task = asyncio.create_task(sending)
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.broken.append(repr(error))

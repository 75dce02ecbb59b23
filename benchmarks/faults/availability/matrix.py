"""Runs faults one after the other, each under load, and gathers their figures."""

import asyncio
import random
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from rich.console import Console

from benchmarks.faults.availability import cells as table
from benchmarks.faults.availability import traffic
from benchmarks.faults.availability.breaking import Breaking
from benchmarks.faults.availability.cells import Cell
from benchmarks.faults.availability.house import House, open_house
from benchmarks.faults.availability.model import MODEL, open_model_server
from benchmarks.faults.availability.records import outcomes
from benchmarks.faults.availability.requests import Guest, Place, Sender
from benchmarks.faults.availability.traffic import Traffic
from benchmarks.faults.availability.verdict import Row, Times, percent, row_of
from benchmarks.faults.availability.watching import Logs, Watch
from benchmarks.faults.proxy import Proxy, open_proxy
from benchmarks.faults.world import Client
from stack.errors import StackError
from stack.ports import Ports

WORDS, WORDS_A_SECOND = 12, 50.0
_PAIR = dict.fromkeys(table.PAIRS, 2)
_WATCHED_SECONDS = 15.0  # after the healing, beside the time that a breaker stays open
_GOOD_SECONDS = 3.0
_ANSWER_SECONDS = 2.0
_STEADY_SECONDS = 30.0
_QUIET_SECONDS = 15.0
_LOOK_SECONDS = 0.25
_SETTINGS = {
    "GAJI_PROVIDER": "scripted",
    "GAJI_SCRIPTED_TOKENS": str(WORDS),
    "GAJI_SCRIPTED_RATE": f"{WORDS_A_SECOND:g}",
    "GAJI_ACCESS_TOKEN_SECONDS": "14400",  # the readers of one stack outlive all its faults
    # One machine plays all readers: what one of them may ask for is not what is measured here.
    **dict.fromkeys(
        (
            "GAJI_RATE_LIMIT",
            "GAJI_LOGIN_RATE",
            "GAJI_CREDENTIALS_RATE",
            "GAJI_SESSIONS_RATE",
            "GAJI_MAX_STREAMS_PER_USER",
            "GAJI_MAX_CONNECTIONS_PER_ADDRESS",
        ),
        "0",
    ),
}


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is done.

    Attributes:
        rate: requests a second.
        steady: seconds of load before each fault.
        seed: of what is left to chance.
        logs: where the logs of the stacks are kept; None: nowhere.
    """

    rate: float = 8.0
    steady: float = 5.0
    seed: int = 1
    logs: Path | None = None


@dataclass(frozen=True, slots=True)
class _Scene:
    """A stack with something to ask it for."""

    house: House
    place: Place
    guests: Sequence[Guest]
    model: Proxy | None


class Matrix:
    """The chosen faults.

    Args:
        chosen: in the order of the run; those of one stack together.
        options: how.
        console: is told how it goes.

    Attributes:
        rows: so far.
    """

    def __init__(self, chosen: Sequence[Cell], options: Options, console: Console) -> None:
        self.rows: list[Row] = []
        self._chosen = chosen
        self._options = options
        self._console = console

    async def __call__(self) -> None:
        """Runs them; a stack that does not come back is left for a new one."""
        for name, group in groupby(self._chosen, key=lambda cell: cell.house):
            left = list(group)
            while left:
                before = len(left)
                try:
                    await self._in_one_house(name, left)
                except (StackError, OSError, RuntimeError, TimeoutError) as error:
                    cell = left[0]
                    self._add(Row(cell.name, cell.title, broken=[f"{type(error).__name__}: {error}"]))
                    # A stack that does not even start does not start for the next fault either.
                    dropped = left[1:] if len(left) == before and isinstance(error, StackError) else []
                    for other in dropped:
                        self._add(Row(other.name, other.title, broken=["its stack does not start"]))
                    del left[: 1 + len(dropped)]

    async def _in_one_house(self, name: str, left: list[Cell]) -> None:
        async with _scene(name) as scene, _kept(scene.house, self._options.logs, name):
            while left:
                self._console.print(f"{left[0].title} ...", style="dim")
                self._add(await self._one(scene, left[0]))
                del left[0]
                await scene.house.settled()

    def _add(self, row: Row) -> None:
        self.rows.append(row)
        said = "; ".join(row.broken) or f"{percent(row.success)} answered, {percent(row.messages)} of messages"
        self._console.print(f"  {said}", style="dim" if row.ok else "yellow", highlight=False)

    async def _one(self, scene: _Scene, cell: Cell) -> Row:
        chance = random.Random(f"{self._options.seed} {cell.name}")  # noqa: S311 - to be repeated
        house = scene.house
        sender = Sender(house.gateways, scene.place, scene.guests, chance)
        before, deaths, logs = house.processes(), len(house.trouble), Logs(house)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(sender.aclose)
            watch = await stack.enter_async_context(Watch(house))
            await _until_closed(watch, cell.open_seconds + _WATCHED_SECONDS)
            load = Traffic(sender, self._options.rate, chance)
            try:
                await _steady(load, self._options.steady)
                fault, healed = await _broken(Breaking(house, cell, scene.model, chance), cell.seconds)
                await _until_good(load, watch, healed, cell.open_seconds + _WATCHED_SECONDS)
                ended = time.monotonic()
            finally:
                await load.stop()
            leaked = await _leaks(house, watch, before)
            opened = [at for at in watch.breakers.opened.values() if at >= fault]
            closed = watch.breakers.over(fault, ended)
            times = Times(fault, healed, ended, min(opened, default=None), closed)
        row = row_of(cell, load.records, times, leaked, load.lag)
        row.broken = [f"the load itself: {error} ({times} times)" for error, times in Counter(load.broken).items()]
        row.errors = logs.errors()
        for death in house.trouble[deaths:]:
            row.errors[death] = row.errors.get(death, 0) + 1
        return row


@asynccontextmanager
async def _scene(name: str) -> AsyncIterator[_Scene]:
    variables: dict[str, str] = dict(_SETTINGS)
    replicas: Mapping[str, int] = _PAIR if name == "pairs" else {}
    async with AsyncExitStack() as stack:
        model = None
        if name == "short":
            variables["GAJI_BREAKER_OPEN_SECONDS"] = f"{table.QUICK_OPEN_SECONDS:g}"
        elif name == "model":
            port = await stack.enter_async_context(open_model_server(WORDS, WORDS_A_SECOND))
            model = await stack.enter_async_context(open_proxy(port, Ports()))
            variables |= {
                "GAJI_PROVIDER": "openai,scripted",
                "GAJI_OPENAI_BASE_URL": f"http://127.0.0.1:{model.port}/v1",
                "GAJI_OPENAI_MODEL": MODEL,
            }
        house = await stack.enter_async_context(open_house(replicas, variables, proxied=name != "pairs"))
        client = await stack.enter_async_context(Client(house.gateways))
        place = await traffic.made(client)
        yield _Scene(house, place, await traffic.guests(house.gateways, place), model)


@asynccontextmanager
async def _kept(house: House, logs: Path | None, name: str) -> AsyncIterator[None]:
    """Keeps the logs of a stack beyond its end."""
    try:
        yield
    finally:
        if logs is not None:
            await asyncio.to_thread(shutil.copytree, house.data_dir / "logs", logs / name, dirs_exist_ok=True)


async def _broken(breaking: Breaking, seconds: float) -> tuple[float, float]:
    """Begins a fault and ends it; returns when."""
    fault = time.monotonic()
    try:
        await breaking.begin()
        await asyncio.sleep(seconds)
    except BaseException:
        await breaking.end()
        raise
    return fault, await breaking.end()


async def _until_closed(watch: Watch, seconds: float) -> None:
    end = time.monotonic() + seconds
    while watch.breakers.refusing(time.monotonic()) and time.monotonic() < end:  # noqa: ASYNC110 - it asks
        await asyncio.sleep(_LOOK_SECONDS)


async def _steady(load: Traffic, seconds: float) -> None:
    """Waits so many seconds, and longer until all is well.

    Raises:
        RuntimeError: not all is well in time: what came of a fault now would say nothing of it.
    """
    end = time.monotonic() + seconds + _STEADY_SECONDS
    await asyncio.sleep(seconds)
    while not all_good(load, time.monotonic()):
        if time.monotonic() > end:
            said = outcomes(load.records[-100:])
            raise RuntimeError(f"not all is well before the fault: {said or 'answers take long'}")
        await asyncio.sleep(_LOOK_SECONDS)


def all_good(load: Traffic, now: float, patience: float = _ANSWER_SECONDS) -> bool:
    """Whether all that was asked for some seconds was answered at the first try, within some seconds of patience."""
    last = now - patience
    recent = [record for record in load.records if last - _GOOD_SECONDS <= record.began < last]
    return bool(recent) and all(record.seconds is not None and record.ok for record in recent)


async def _until_good(load: Traffic, watch: Watch, healed: float, seconds: float) -> None:
    """Waits until everything has been answered at once for some seconds and no breaker refuses, or long enough."""
    while (now := time.monotonic()) < healed + seconds:
        if now - _GOOD_SECONDS - _ANSWER_SECONDS >= healed and all_good(load, now) and not watch.breakers.refusing(now):
            return
        await asyncio.sleep(_LOOK_SECONDS)


async def _leaks(house: House, watch: Watch, before: int) -> list[str]:
    """What is left when nobody asks for anything any more: a sentence each."""
    end = time.monotonic() + _QUIET_SECONDS
    while True:
        streams, more = await watch.streams(), house.processes() - before
        if (not streams and not more) or time.monotonic() > end:
            break
        await asyncio.sleep(_LOOK_SECONDS)
    left = [f"{streams} streams or replies"] if streams else []
    return [*left, f"{more:+d} processes"] if more else left

"""Runs faults one after the other, each under load, and gathers their figures."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from benchmarks.faults.availability import traffic
from benchmarks.faults.availability.matrix import all_good
from benchmarks.faults.availability.records import outcomes
from benchmarks.faults.availability.requests import Guest, Place, Sender
from benchmarks.faults.availability.traffic import Traffic
from benchmarks.faults.availability.watching import Watch
from benchmarks.faults.killing import Killer
from benchmarks.faults.load import Load, Report, under_load
from benchmarks.faults.world import Client, World
from benchmarks.hosts.balancer import Balancer
from benchmarks.hosts.breaking import Breaking, Fault, Kind
from benchmarks.hosts.build import next_build, versions
from benchmarks.hosts.hosts import Hosts, open_hosts
from benchmarks.hosts.town import HEARTBEAT_SECONDS, WORDS, WORDS_A_SECOND
from benchmarks.hosts.verdict import REDUNDANT_SECONDS, SINGLE_SECONDS, Row, Seen, row_of
from stack.errors import StackError

SILENCE_SECONDS = HEARTBEAT_SECONDS + 3.0
"""After which a client takes its connection for lost: longer than a gateway is silent, so short that a read of 10 s can
still be asked for again."""
_STEADY_SECONDS = 90.0
_WATCHED_SECONDS = 5.0  # beyond the time within which all must be well
_GOOD_SECONDS = 3.0
_QUIET_SECONDS = 20.0
_LOOK_SECONDS = 0.25
_PATIENCE_SECONDS = WORDS / WORDS_A_SECOND + 3.0  # within which a message is whole


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is done.

    Attributes:
        rate: requests a second.
        every: seconds from one reply that is read word by word to the next.
        steady: seconds of load before each fault.
        seed: of what is left to chance.
    """

    rate: float = 5.0
    every: float = 0.7
    steady: float = 3.0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class _Scene:
    """Running hosts, and something to ask them for."""

    hosts: Hosts
    balancer: Balancer
    world: World
    place: Place
    guests: Sequence[Guest]
    version: str
    build: Path


class Run:
    """The chosen faults, on one set of hosts.

    Args:
        chosen: in the order of the run.
        options: how.
        console: is told how it goes.

    Attributes:
        rows: so far.
    """

    def __init__(self, chosen: Sequence[Fault], options: Options, console: Console) -> None:
        self.rows: list[Row] = []
        self._chosen = chosen
        self._options = options
        self._console = console

    async def __call__(self) -> None:
        """Runs them; after one from which the hosts do not come back no other is tried.

        Raises:
            StackError: the hosts can't be started.
        """
        async with _scene(self._console) as scene:
            for fault in self._chosen:
                self._console.print(f"{fault.title} ...", style="dim")
                try:
                    self.rows.append(await self._one(scene, fault))
                    await scene.hosts.settled()
                except (StackError, OSError, RuntimeError, TimeoutError) as error:
                    self.rows.append(Row(fault.name, fault.title, broken=[f"{type(error).__name__}: {error}"]))
                    return

    async def _one(self, scene: _Scene, fault: Fault) -> Row:
        chance = random.Random(f"{self._options.seed} {fault.name}")  # noqa: S311 - to be repeated
        hosts, breaking = scene.hosts, Breaking(scene.hosts, fault, scene.build)
        async with AsyncExitStack() as stack:
            watch = await stack.enter_async_context(Watch(hosts))
            sender = Sender(scene.balancer, scene.place, scene.guests, chance, SILENCE_SECONDS)
            stack.push_async_callback(sender.aclose)
            load = Traffic(sender, self._options.rate, chance)
            stack.push_async_callback(load.stop)
            times: list[float] = []

            async def happening(killer: Killer) -> None:
                await _steady(load, self._options.steady)
                times.append(time.monotonic())
                try:
                    await breaking.begin(killer)
                    if fault.kind is not Kind.UPGRADE:
                        await asyncio.sleep(fault.seconds)
                finally:
                    times.append(await breaking.end())
                await asyncio.sleep(_GOOD_SECONDS)

            replies = Load(1, WORDS, every=self._options.every, lasting=True, silence=SILENCE_SECONDS)
            report = await under_load(fault.title, hosts, scene.world, replies, fault=happening, chance=chance)
            if len(times) < 2:
                raise RuntimeError("; ".join(report.broken) or "the fault did not end")
            most = REDUNDANT_SECONDS if fault.redundant else SINGLE_SECONDS
            await _until_good(load, watch, times[1], most + _WATCHED_SECONDS)
            ended = time.monotonic()
            await load.stop()
            seen = Seen(
                times[0],
                times[1],
                ended,
                opened=[name for name, at in watch.breakers.opened.items() if at >= times[0]],
                cut_off=[slot.child.program.name for machine in hosts.hosts_of(fault.hosts) for slot in machine.slots],
                leaked=await _leaks(watch),
                died=hosts.died(),
                lag=load.lag,
            )
            if fault.kind is Kind.UPGRADE:
                found = await versions(hosts.replicas(*fault.services))
                seen = replace(seen, versions=found, version=scene.version)
            return self._row(fault, report, load, seen)

    def _row(self, fault: Fault, report: Report, load: Traffic, seen: Seen) -> Row:
        row = row_of(fault, report, load.records, seen)
        row.broken += [f"the load itself: {error} ({count} times)" for error, count in Counter(load.broken).items()]
        said = (
            "as it should be"
            if row.ok
            else "; ".join([*row.broken, *(t.what for t in (*row.targets, *row.timed) if not t.ok)])
        )
        self._console.print(f"  {said}", style="dim" if row.ok else "yellow", highlight=False)
        return row


@asynccontextmanager
async def _scene(console: Console) -> AsyncIterator[_Scene]:
    async with open_hosts() as hosts:
        console.print("five hosts run", style="dim")
        version, build = await next_build(hosts.data_dir / "build")
        async with Balancer(hosts.gateways) as balancer, Client(balancer) as client:
            world = await World(client).make()
            place = await traffic.made(client, world)
            yield _Scene(hosts, balancer, world, place, await traffic.guests(balancer, place), version, build)


async def _steady(load: Traffic, seconds: float) -> None:
    """Waits so many seconds, and longer until all is well.

    Raises:
        RuntimeError: not all is well in time: what came of a fault now would say nothing of it.
    """
    end = time.monotonic() + seconds + _STEADY_SECONDS
    await asyncio.sleep(seconds)
    while not all_good(load, time.monotonic(), _PATIENCE_SECONDS):
        if time.monotonic() > end:
            raise RuntimeError(
                f"not all is well before the fault: {outcomes(load.records[-100:]) or 'answers are late'}"
            )
        await asyncio.sleep(_LOOK_SECONDS)


async def _until_good(load: Traffic, watch: Watch, healed: float, seconds: float) -> None:
    """Waits until everything has been answered at once for some seconds and no circuit refuses, or long enough."""
    while (now := time.monotonic()) < healed + seconds:
        well = now - _PATIENCE_SECONDS - _GOOD_SECONDS >= healed and all_good(load, now, _PATIENCE_SECONDS)
        if well and not watch.breakers.refusing(now):
            return
        await asyncio.sleep(_LOOK_SECONDS)


async def _leaks(watch: Watch) -> list[str]:
    """What is left when nobody asks for anything any more: a sentence each."""
    end = time.monotonic() + _QUIET_SECONDS
    while streams := await watch.streams():
        if time.monotonic() > end:
            return [f"{streams} streams or replies"]
        await asyncio.sleep(_LOOK_SECONDS)
    return []

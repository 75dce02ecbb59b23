"""Puts a stack of its own under more load than it can bear and prints what it still did.

Usage: python -m benchmarks.load [--seconds N] [--guests N] [--streams N] [--rate N] [--only PART ...] [--json FILE].
Linux only (it reads /proc); loopback only; ends by itself in about five minutes, with code 1 when something came back
that should not. The generator is this process; it shares the machine with the stack and says what it took of it.
"""

import argparse
import asyncio
import contextlib
import json
import resource
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop
from rich.console import Console

from benchmarks.faults.running import Stack, running_stack
from benchmarks.faults.world import Client, World
from benchmarks.load import tables
from benchmarks.load.generator import Answers, Generator, Question, summed
from benchmarks.load.memory import Sampler, pss_mib
from benchmarks.load.readers import Crowd
from benchmarks.load.tables import CALM, FULL, TWICE

RATE = 2.0
PARTS = ("overload", "streams")
_CALM_RATE = 50.0
_RAMP_FROM = 150.0
_RAMP_FACTOR = 1.25
_RAMP_STEPS = 14
_ROUND_SECONDS = 4.0
_GROUPS = 50
_WARM_SECONDS = 5.0
_OPENING_SECONDS = 60.0
_MOST_STREAM_SECONDS = 180.0  # with the time to open them all, a reply ends before the 290 s that it may take
_CONVERSATIONS = 20
_VARIABLES = {"GAJI_RATE_LIMIT": "0", "GAJI_MAX_STREAMS_PER_USER": "0", "GAJI_LOG_LEVEL": "WARNING"}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of the overload, and of the streams")
    parser.add_argument("--guests", type=int, default=200, help="who ask")
    parser.add_argument("--streams", type=int, default=2000, help="open at once")
    parser.add_argument("--rate", type=float, default=1000.0, help="reads a second beside the streams")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="a part instead of all")
    parser.add_argument("--json", type=Path, help="keep the figures in this file")
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536), most))
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a file or a pipe, like a terminal
    figures = uvloop.run(measure(arguments, Console(width=120)))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))
    sys.exit(not figures["ok"])


async def measure(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """The parts, each on a stack of its own: replies are short in the one, and last all the time in the other."""
    figures: dict[str, Any] = {"ok": True}
    if "overload" in arguments.only:
        async with loaded(5, arguments) as (stack, _, generator):
            figures = merged(figures, await overload(stack, generator, arguments.seconds, console))
    if "streams" in arguments.only:
        seconds = min(arguments.seconds, _MOST_STREAM_SECONDS)
        words = round(RATE * (_OPENING_SECONDS + seconds))
        async with loaded(words, arguments) as (stack, world, generator):
            groups = min(_GROUPS, arguments.streams)
            crowd = Crowd(world, generator.port, arguments.streams, groups, words=2 * words)
            more = await streams(stack, crowd, generator, console, rate=arguments.rate, seconds=seconds)
            figures = merged(figures, more)
    return figures


@contextlib.asynccontextmanager
async def loaded(tokens: int, arguments: argparse.Namespace) -> AsyncIterator[tuple[Stack, World, Generator]]:
    """A stack whose replies have so many words, and a generator that has asked it everything already."""
    async with running_stack("gateway=1", tokens=tokens, rate=RATE, variables=_VARIABLES) as stack:
        port = urlsplit(stack.gateways[0]).port or 80
        async with Client(stack.gateways) as client:
            world = await World(client).make(stop=True)
            generator = Generator(port, await mixed(world, arguments.guests, port))
            await generator.run(_CALM_RATE, _WARM_SECONDS)
            try:
                yield stack, world, generator
            finally:
                generator.close()


def merged(figures: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """The figures of both; fine if both are."""
    return {**figures, **more, "ok": figures["ok"] and more["ok"]}


async def mixed(world: World, guests: int, port: int) -> list[Question]:
    """Reads by all guests: the novels and scenarios, which are cached, and what is a reader's own, which is not."""
    public = {
        "novel_id": world.novel_id,
        "title": "No light",
        "description": "What if the lamp had gone out?",
        "visibility": "VISIBILITY_PUBLIC",
    }
    scenario_id = (await world.client.ask("POST", "/api/scenarios", public))["scenario_id"]
    conversations = [await world.conversation() for _ in range(_CONVERSATIONS)]
    questions = []
    for number in range(guests):
        conversation_id = conversations[number % len(conversations)]
        guest = await world.client.ask("POST", "/api/auth/guest", {"display_name": f"Guest {number}"})
        for name, path, token, weight in (
            ("list novels", "/api/novels?page_size=10", guest["access_token"], 4),
            ("get novel", f"/api/novels/{world.novel_id}", guest["access_token"], 6),
            ("get scenario", f"/api/scenarios/{scenario_id}", guest["access_token"], 4),
            ("list conversations", "/api/conversations?page_size=10", guest["access_token"], 3),
            ("list messages", f"/api/conversations/{conversation_id}/messages", world.client.token, 3),
        ):
            head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n\r\n"
            questions += [Question(name, head.encode())] * weight
    return questions


async def overload(stack: Stack, generator: Generator, seconds: float, console: Console) -> dict[str, Any]:
    """Ever more until goodput grows no more, then by turns little, as much as that was, and twice as much."""
    steps: dict[str, Answers] = {}
    rate = _RAMP_FROM
    for _ in range(_RAMP_STEPS):
        steps[f"{rate:.0f}/s"] = told(console, f"{rate:.0f}/s", await generator.run(rate, _ROUND_SECONDS))
        last = list(steps.values())[-2:]
        if len(last) > 1 and all(answers.goodput < 0.8 * answers.offered / answers.seconds for answers in last):
            break
        rate *= _RAMP_FACTOR
    most = max(answers.goodput for answers in steps.values())
    rounds: dict[str, list[Answers]] = {CALM: [], FULL: [], TWICE: []}
    async with sampled(stack) as sampler:
        for _ in range(max(1, round(seconds / (4 * _ROUND_SECONDS)))):
            # In turn, since neighbours on the machine come and go: what is compared is measured side by side.
            rounds[CALM].append(told(console, CALM, await generator.run(_CALM_RATE, _ROUND_SECONDS)))
            rounds[FULL].append(told(console, FULL, await generator.run(most, _ROUND_SECONDS)))
            rounds[TWICE].append(told(console, TWICE, await generator.run(2 * most, 2 * _ROUND_SECONDS)))
    await asyncio.sleep(3.0)
    runs = {name: summed(answers) for name, answers in rounds.items()}
    calm, full, twice = runs[CALM], runs[FULL], runs[TWICE]
    best = max(full.goodput, twice.goodput)
    tables.overload(console, {**steps, **runs, "calm again": await generator.run(_CALM_RATE, 10.0)}, best, most)
    tables.processes(console, "processes meanwhile", sampler.courses.values())
    return {
        "capacity": best,
        "burst": most,
        "goodput": twice.goodput / best,
        "p99": twice.percentile(99) / calm.percentile(99),
        "shed": twice.shed_share,
        "ok": not twice.curt and not twice.others,
    }


def told(console: Console, name: str, answers: Answers) -> Answers:
    """The same answers; a line says them at once, for who waits for the tables."""
    console.print(
        f"{name}: {answers.offered / answers.seconds:.0f}/s offered, {answers.goodput:.0f}/s answered, "
        f"p99 {answers.percentile(99) * 1000:.0f} ms, {answers.shed_share:.0%} shed, "
        f"{sum(answers.others.values())} else",
        highlight=False,
        soft_wrap=True,
    )
    return answers


async def streams(
    stack: Stack, crowd: Crowd, generator: Generator, console: Console, *, rate: float, seconds: float
) -> dict[str, Any]:
    """Reads beside open streams; every reader must get everything, and memory must be flat."""
    reading = asyncio.create_task(crowd.run())
    clock = asyncio.get_running_loop().time
    began = clock()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_OPENING_SECONDS):
            await crowd.open.wait()
    console.print(f"{crowd.streams.open:,} streams open after {clock() - began:.1f} s", highlight=False)
    alone = told(console, "calm beside them", await generator.run(_CALM_RATE, _ROUND_SECONDS))
    told(console, "the rush begins", await generator.run(rate, 2 * _ROUND_SECONDS))  # the limits find their places
    async with sampled(stack) as sampler:
        beside = told(console, "reads beside them", await generator.run(rate, seconds - 4 * _ROUND_SECONDS))
    await reading
    after = {name: pss_mib(pid) for name, pid in sampler.pids.items()}
    tables.streams(console, crowd.streams, beside)
    tables.processes(console, "processes with the streams", sampler.courses.values(), after)
    return {
        "streams": crowd.streams.most,
        "events": crowd.streams.events,
        "wrong": len(crowd.streams.wrong),
        "beside": beside.goodput,
        "beside_p99": beside.percentile(99) / (alone.percentile(99) or 1.0),
        "ok": not crowd.streams.wrong and not beside.curt,
    }


@contextlib.asynccontextmanager
async def sampled(stack: Stack) -> Any:
    """A sampler of memory while the block runs."""
    sampler = Sampler(stack, "gateway", "library", "generation", "cache", "search")
    task = asyncio.create_task(sampler.run())
    try:
        yield sampler
    finally:
        task.cancel()
        await asyncio.wait([task])


if __name__ == "__main__":
    main()

"""What the web app costs a browser: the frames while a long reply comes, and memory over many replies.

Usage: python -m benchmarks.web [--words N] [--rate N] [--replies N]. Loopback only: a stack with a scripted model and a
headless Chromium, which end with this run, in about three minutes. A frame that takes more than 50 ms is one that the
browser itself reports (https://w3c.github.io/long-animation-frames/); the longest task of the page's thread is from a
trace of DevTools, in time and in processor time, which a busy machine does not stretch. The heap is what is left after
a collection.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from playwright.async_api import CDPSession, Page
from rich.console import Console
from rich.table import Table

from benchmarks.faults.running import running_stack
from tests.fixtures.chromium import open_chrome, unpack_chromium
from tests.web.tale import tale_at
from tests.web.talks import asked, at_rest, begun, stored
from tests.web.visits import visiting

LONG_FRAME_MS = 50
_SHORT_WORDS = 100
_LOOKS = 10
_TRACE_SECONDS = 60.0
_QUIET = {"GAJI_RATE_LIMIT": "0", "GAJI_LOG_LEVEL": "WARNING", "GAJI_MAX_TOKENS": "4096"}
_WATCH = """
() => {
  window.frames_ = { long: [], gaps: [], last: performance.now(), on: true };
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.frames_.long.push(entry.duration);
  }).observe({ type: "long-animation-frame" });
  const tick = (now) => {
    window.frames_.gaps.push(now - window.frames_.last);
    window.frames_.last = now;
    if (window.frames_.on) requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}
"""
_SEEN = "() => { window.frames_.on = false; return window.frames_; }"


@dataclass(frozen=True, slots=True)
class Frames:
    """How a page was drawn while a reply came.

    Attributes:
        words: of the reply.
        count: frames in which the page could draw.
        longest_gap_ms: between two of them.
        long_ms: frames that took longer than `LONG_FRAME_MS`.
        task_ms: the longest task of the page's thread, as time and as processor time.
    """

    words: int
    count: int
    longest_gap_ms: float
    long_ms: list[float]
    task_ms: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Held:
    """What a page holds.

    Attributes:
        when: after so many replies, or at the first look after a reload: what is more before it, is not let go.
        heap_mb: of JavaScript, in use.
        nodes, listeners: of the document.
    """

    when: str
    heap_mb: float
    nodes: int
    listeners: int


async def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--words", type=int, default=2_000, help="of the long reply")
    parser.add_argument("--rate", type=float, default=60.0, help="words a second")
    parser.add_argument("--replies", type=int, default=50, help="short ones")
    arguments = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a file or a pipe, like a terminal
    console = Console(width=100)
    async with reading(arguments.words, arguments.rate) as page:
        _tell_frames(console, await frames(page), arguments.rate)
    async with reading(_SHORT_WORDS, _SHORT_WORDS * 2) as page:
        _tell_memory(console, await memory(page, arguments.replies))


@asynccontextmanager
async def reading(words: int, rate: float) -> AsyncIterator[Page]:
    """A page with a talk whose opening is over, at a stack whose replies have so many words."""
    async with running_stack("gateway=1", tokens=words, rate=rate, variables=_QUIET) as stack:
        url = stack.gateways[0]
        tale = await tale_at(url)
        async with open_chrome(unpack_chromium()) as chrome, visiting(chrome, url) as visit:
            await begun(visit.page, tale)
            yield visit.page


async def frames(page: Page) -> Frames:
    """Watches a reply from the question to its last word."""
    session = await page.context.new_cdp_session(page)
    await page.evaluate(_WATCH)
    async with _traced(session) as events:
        await asked(page, "Tell me everything.")
        await at_rest(page)
    seen = await page.evaluate(_SEEN)
    tasks = [event for event in events if event.get("name") == "RunTask" and event.get("ph") == "X"]
    longest = [max((event.get(key, 0) for event in tasks), default=0) / 1000 for key in ("dur", "tdur")]
    words = len((await stored(page))[-1].split())
    return Frames(words, len(seen["gaps"]), max(seen["gaps"]), seen["long"], (longest[0], longest[1]))


@asynccontextmanager
async def _traced(session: CDPSession) -> AsyncIterator[list[dict[str, Any]]]:
    """The trace of a page's main thread; it is filled when the block is left."""
    events: list[dict[str, Any]] = []
    done = asyncio.Event()
    session.on("Tracing.dataCollected", lambda data: events.extend(data["value"]))
    session.on("Tracing.tracingComplete", lambda _: done.set())
    categories = {"includedCategories": ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"]}
    await session.send("Tracing.start", {"transferMode": "ReportEvents", "traceConfig": categories})
    try:
        yield events
    finally:
        await session.send("Tracing.end")
        async with asyncio.timeout(_TRACE_SECONDS):
            await done.wait()
    renderers = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    events[:] = [event for event in events if (event.get("pid"), event.get("tid")) in renderers]


async def memory(page: Page, replies: int) -> list[Held]:
    """Asks again and again in one talk, and looks now and then."""
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    held = []
    for number in range(1, replies + 1):
        await asked(page, f"And then? ({number})")
        await page.get_by_role("button", name="Stop", exact=True).wait_for()
        await at_rest(page)
        if number == 1 or number % _LOOKS == 0:
            held.append(await _held(session, f"{number}"))
    await page.reload()
    await at_rest(page)
    return [*held, await _held(session, "after a reload")]


async def _held(session: CDPSession, when: str) -> Held:
    await session.send("HeapProfiler.collectGarbage")
    metrics = (await session.send("Performance.getMetrics"))["metrics"]
    values = {metric["name"]: metric["value"] for metric in metrics}
    return Held(when, values["JSHeapUsedSize"] / 1e6, int(values["Nodes"]), int(values["JSEventListeners"]))


def _tell_frames(console: Console, seen: Frames, rate: float) -> None:
    task, processor = seen.task_ms
    console.print(
        f"a reply of {seen.words:,} words at {rate:g} a second: {seen.count:,} frames, "
        f"the longest gap {seen.longest_gap_ms:.0f} ms; frames over {LONG_FRAME_MS} ms: "
        f"{len(seen.long_ms)} {json.dumps([round(one) for one in seen.long_ms]) if seen.long_ms else ''}\n"
        f"longest task of the page's thread: {task:.0f} ms, of processor time {processor:.0f} ms"
    )


def _tell_memory(console: Console, held: list[Held]) -> None:
    table = Table(title=f"a talk that goes on, {_SHORT_WORDS} words a reply")
    for heading in ("replies", "heap MB", "nodes", "listeners"):
        table.add_column(heading, justify="right")
    for one in held:
        table.add_row(one.when, f"{one.heap_mb:.1f}", f"{one.nodes:,}", str(one.listeners))
    console.print(table)


if __name__ == "__main__":
    asyncio.run(main())

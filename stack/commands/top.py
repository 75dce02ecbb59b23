"""``gaji top``: what happens in all processes, as it happens, for those without Grafana."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, RenderableType
from rich.live import Live

from stack.answers import Json
from stack.errors import StackError
from stack.top import house, processes
from stack.top.reading import Process, Reader, processes_at, processes_of
from stack.top.samples import Span
from stack.top.screen import screen

_FONTS = re.compile(r"@font-face \{[^}]*\}\s*")
"""What a picture would load from elsewhere."""
_WIDTH = 120
"""Columns that the tables need where nobody looks at a terminal."""


@dataclass(frozen=True, slots=True)
class TopOptions:
    """What is asked for.

    Attributes:
        metrics: addresses of processes' metrics; empty: the stack that runs here.
        seconds: from one look to the next.
        once: whether to show one look and end.
        picture: where to keep that look as SVG; None: nowhere.
    """

    metrics: Sequence[str] = ()
    seconds: float = 2.0
    once: bool = False
    picture: Path | None = None


def top(options: TopOptions, state: Callable[[], Json | None]) -> bool:
    """Shows all processes until Ctrl-C, or once.

    Args:
        options: what is asked for.
        state: of the stack on this machine, read anew for each look, since processes come and go.

    Returns:
        Whether all of them answer.

    Raises:
        StackError: there is nothing to look at.
    """
    console = Console(highlight=False, record=options.picture is not None)
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH)
    return asyncio.run(_top(options, state, console))


async def _top(options: TopOptions, state: Callable[[], Json | None], console: Console) -> bool:
    given = processes_at(options.metrics)

    def watched() -> list[Process]:
        found = state() if not given else None
        if not given and found is None:
            raise StackError(
                "no stack runs on this data folder",
                "start one with gaji up, name it with --data-dir, or name processes with --metrics HOST:PORT",
            )
        return given or processes_of(found or {"services": {}})

    # One look tells of the time since the look before; more of them of the last ten seconds, which is steadier.
    reader = Reader(watched(), [*processes.WANTED, *house.WANTED], 0.0 if options.once else 5 * options.seconds)
    await reader.read()
    await asyncio.sleep(options.seconds)
    if options.once:
        spans = await reader.read()
        console.print(_shown(reader.processes, spans))
        if options.picture is not None:
            svg = _FONTS.sub("", console.export_svg(title="gaji top"))
            await asyncio.to_thread(options.picture.write_text, svg, encoding="utf-8")
        return None not in spans
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(_shown(reader.processes, await reader.read()), refresh=True)
            await asyncio.sleep(options.seconds)
            reader.processes = watched()


def _shown(found: Sequence[Process], spans: Sequence[Span | None]) -> RenderableType:
    lines = [
        process.name if span is None else processes.line_of(process.name, span)
        for process, span in zip(found, spans, strict=True)
    ]
    told = [span for span in spans if span is not None]
    seconds = max((span.seconds for span in told if span.before is not None), default=0.0)
    title = f"Gaji: {len(told)} of {len(found)} processes, the last {seconds:.0f} s"
    return screen(title, lines, house.figures_of(told))

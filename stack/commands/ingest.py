"""``gaji ingest``: files become novels that can be searched."""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from stack.answers import ApiError, Json
from stack.api import Gateway
from stack.commands.sources import Source
from stack.commands.text import counted, one_line
from stack.errors import StackError
from stack.sessions import GuestSession
from stack.shelf import Told, ingest_file

AT_ONCE = 4
_LINE_PERCENT = 10
_UNREADABLE = "UNREADABLE_FILE"


@dataclass(frozen=True, slots=True)
class About:
    """What is said of the novels; None or empty: what their files say.

    Attributes:
        visibility: "public", "private" or None.
    """

    title: str | None = None
    author: str = ""
    language: str = ""
    visibility: str | None = None

    def fields(self, file_name: str) -> dict[str, str]:
        """The fields of CreateNovel but the file."""
        novel = {
            "title": self.title or "",
            "author": self.author,
            "language": self.language,
            "file_name": file_name,
            "visibility": f"VISIBILITY_{self.visibility.upper()}" if self.visibility else "",
        }
        return {name: value for name, value in novel.items() if value}


def ingest(url: str, sources: Sequence[Source], about: About, *, as_json: bool) -> bool:
    """Puts novels on the shelf, a few at once, and shows how it goes.

    Returns:
        Whether all of them are there.

    Raises:
        StackError: the only one is refused, or its ingestion fails.
    """
    console = Console(stderr=as_json, highlight=False)
    failed = 0
    with ExitStack() as stack:
        show = stack.enter_context(Display(console, several=len(sources) > 1))
        gateways = [Gateway(url, GuestSession(url)) for _ in sources]
        pool = ThreadPoolExecutor(min(AT_ONCE, len(sources)), thread_name_prefix="ingest")
        # Left early, by Ctrl-C: what is open is closed, and nobody waits for it.
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        for gateway in gateways:
            stack.callback(gateway.__exit__)
        work = {
            pool.submit(_ingested, gateway, source, about, show(source)): source
            for gateway, source in zip(gateways, sources, strict=True)
        }
        for done in as_completed(work):
            try:
                _print(console, *done.result(), as_json=as_json)
            except StackError as error:
                if len(sources) == 1:
                    raise
                failed += 1
                click.echo(f"gaji: {error}", err=True)
    if failed:
        click.echo(f"gaji: {failed} of {len(sources)} novels are not on the shelf", err=True)
    return not failed


def _ingested(gateway: Gateway, source: Source, about: About, told: Told) -> tuple[Json, float]:
    began = time.monotonic()
    file_name, data = source.read()
    told(0, "sending", "sending", None)
    try:
        return ingest_file(gateway, about.fields(file_name), data, told), time.monotonic() - began
    except ApiError as error:
        if error.reason != _UNREADABLE:
            raise
        raise StackError(f"{source.name} {error.message.removeprefix('file ')}", "") from None


def _print(console: Console, stored: Json, seconds: float, *, as_json: bool) -> None:
    seconds = round(seconds, 1)
    if as_json:
        counts = {name: int(stored.get(name, 0)) for name in ("words", "chapters", "passages", "characters")}
        said = {"novel_id": stored["novel_id"], "title": stored.get("title", ""), **counts, "seconds": seconds}
        print(json.dumps(said, ensure_ascii=False))
        return
    console.print(
        Text(
            f"“{one_line(str(stored.get('title', '')))}” is on the shelf after {seconds} s: "
            + ", ".join(counted(int(stored.get(f"{noun}s", 0)), noun) for noun in ("chapter", "passage", "character"))
            + f"\nnovel_id: {stored['novel_id']}"
        ),
        soft_wrap=True,
    )


class Display:
    """Gives out what tells of one source: a bar each on a terminal, else lines.

    Args:
        console: where it is shown.
        several: whether each needs its name.
    """

    def __init__(self, console: Console, *, several: bool) -> None:
        self._console = console
        self._several = several
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> "Callable[[Source], Told]":
        self._progress.__enter__()
        return self._bar if self._console.is_terminal else self._lines

    def __exit__(self, *_exception: object) -> None:
        self._progress.__exit__(None, None, None)

    def _bar(self, source: Source) -> Told:
        name = f"{one_line(source.name)}: " if self._several else ""
        task = self._progress.add_task(f"{name}waiting", total=100, left="")

        def told(percent: int, stage: str, message: str, left: int | None) -> None:
            words = f"{name}{one_line(message or stage)}"
            self._progress.update(task, completed=percent, description=words, left=_left(left))

        return told

    def _lines(self, source: Source) -> Told:
        """For pipes and logs: a line whenever the stage changes, or a tenth more is done."""
        name = f"{one_line(source.name)}: " if self._several else ""
        last, shown = "sending", 0

        def told(percent: int, stage: str, message: str, left: int | None) -> None:
            nonlocal last, shown
            if stage != last or percent >= shown + _LINE_PERCENT:
                shown = percent
                words = f"{percent:3d} %  {name}{one_line(message or stage)}{f', {_left(left)}' if left else ''}"
                self._console.print(Text(words), soft_wrap=True)
            last = stage

        return told


def _left(seconds: int | None) -> str:
    return "" if seconds is None else f"{seconds // 60}:{seconds % 60:02d} left"

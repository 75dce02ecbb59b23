"""``gaji ingest``: a file becomes a novel that can be searched."""

import json
import re
import time
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from stack.answers import Json
from stack.api import Gateway
from stack.commands.text import counted, one_line
from stack.errors import StackError
from stack.sessions import GuestSession
from stack.shelf import Told
from stack.shelf import ingest as ingest_novel

_LINE_PERCENT = 10
MAX_BYTES = 8 * 1024 * 1024
_SMALL_WORDS = frozenset(
    {"a", "an", "and", "at", "but", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"}
)


def read_novel(file: IO[bytes], title: str | None, author: str, language: str, visibility: str | None) -> Json:
    """The fields of CreateNovel.

    Args:
        file: plain text in UTF-8.
        title: None: made of the file's name.
        author: may be empty.
        language: BCP 47; empty: the library finds it.
        visibility: "public", "private" or None.

    Raises:
        StackError: the file can't be a novel.
    """
    name = getattr(file, "name", "")
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise StackError(f"{name} is larger than 8 MiB", "split it into volumes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if b"\0" in data:
            raise _no_text(name) from None
        raise StackError(
            f"{name} is not UTF-8 (byte {error.start})",
            "convert it: iconv -f ENCODING -t utf-8 FILE > NEW (ENCODING e.g. cp949 for Korean, cp1252 for English)",
        ) from None
    if "\0" in text:
        raise _no_text(name)
    if not text.strip():
        raise StackError(f"{name} holds no text", "give a novel as plain text")
    novel = {"title": title or title_of(Path(name)), "author": author, "language": language, "text": text}
    return {**novel, "visibility": f"VISIBILITY_{visibility.upper()}"} if visibility else novel


def _no_text(name: str) -> StackError:
    return StackError(f"{name} is not plain text (it holds NUL bytes)", "save it as plain text in UTF-8")


def title_of(path: Path) -> str:
    """A title made of a file's name: ``pride-and-prejudice.txt`` is "Pride and Prejudice"; a stream has none."""
    words = [] if path.name.startswith("<") else re.split(r"[\s_-]+", path.stem)
    titled = [w if i and w in _SMALL_WORDS else w[:1].upper() + w[1:] for i, w in enumerate(filter(None, words))]
    return " ".join(titled) or "Untitled"


def ingest(url: str, novel: Json, *, as_json: bool) -> None:
    """Puts a novel on the shelf and shows how it goes.

    Raises:
        StackError: it is refused, or its ingestion fails.
    """
    console = Console(stderr=as_json, highlight=False)
    began = time.monotonic()
    with Gateway(url, GuestSession(url)) as gateway:
        if console.is_terminal:
            with Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                console=console,
            ) as bar:
                task = bar.add_task("sending", total=100)
                stored = ingest_novel(
                    gateway,
                    novel,
                    lambda percent, stage, message: bar.update(
                        task, completed=percent, description=one_line(message or stage)
                    ),
                )
                bar.update(task, completed=100, description="done")
        else:
            stored = ingest_novel(gateway, novel, _line_by_line(console))
    seconds = round(time.monotonic() - began, 1)
    if as_json:
        counts = {name: int(stored.get(name, 0)) for name in ("words", "chapters", "passages", "characters")}
        print(
            json.dumps(
                {
                    "novel_id": stored["novel_id"],
                    "title": stored.get("title", novel["title"]),
                    **counts,
                    "seconds": seconds,
                },
                ensure_ascii=False,
            )
        )
        return
    console.print(
        Text(
            f"“{one_line(str(stored.get('title', novel['title'])))}” is on the shelf after {seconds} s: "
            + ", ".join(counted(int(stored.get(f"{noun}s", 0)), noun) for noun in ("chapter", "passage", "character"))
            + f"\nnovel_id: {stored['novel_id']}"
        ),
        soft_wrap=True,
    )


def _line_by_line(console: Console) -> Told:
    """For pipes and logs: a line whenever the stage changes, or a tenth more is done."""
    last, shown = "", 0

    def told(percent: int, stage: str, message: str) -> None:
        nonlocal last, shown
        if stage != last or percent >= shown + _LINE_PERCENT:
            shown = percent
            console.print(Text(f"{percent:3d} %  {one_line(message or stage)}"), soft_wrap=True)
        last = stage

    return told

"""``gaji reingest``: novels are taken in anew from their stored texts, e.g. after a change of the embedding model."""

import time
from collections.abc import Sequence

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from stack.answers import ApiError, Json
from stack.api import Gateway
from stack.commands.text import counted, one_line
from stack.errors import StackError
from stack.sessions import GuestSession
from stack.shelf import watch

PATIENCE_SECONDS = 120.0
"""How long a request waits for its turn under the gateway's rate limit."""


def reingest(url: str, title: str) -> bool:
    """Queues novels of the caller's and waits until all of them have ended; leaving early stops none.

    Args:
        url: of the gateway.
        title: a part of their titles; empty: all.

    Returns:
        Whether all of them were taken in.

    Raises:
        StackError: there is no such novel, or a request is refused.
    """
    console = Console(highlight=False)
    with Gateway(url, GuestSession(url)) as gateway:
        novels = _mine(gateway, title)
        for novel in novels:
            _queued(gateway, str(novel["novel_id"]))
        console.print(Text(f"{counted(len(novels), 'novel')} queued"))
        failed = _watched(gateway, novels, console)
    if failed:
        click.echo(f"gaji: {failed} of {len(novels)} novels are as they were before", err=True)
    return not failed


def _mine(gateway: Gateway, title: str) -> list[Json]:
    me = gateway.get("/api/users/me")["user_id"]
    mine = [novel for novel in gateway.all("/api/novels", "novels") if novel["owner_id"] == me]
    fits = [novel for novel in mine if title.casefold() in str(novel["title"]).casefold()]
    if not fits:
        what = f"none of your novels has {title!r} in its title" if mine else "you have no novels"
        raise StackError(what, "`gaji ingest` puts novels on the shelf")
    return fits


def _queued(gateway: Gateway, novel_id: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            gateway.post(f"/api/novels/{novel_id}:reingest", {})
        except ApiError as error:
            if error.status != 429 or time.monotonic() > until:
                raise
            time.sleep(1)
        else:
            return


def _watched(gateway: Gateway, novels: Sequence[Json], console: Console) -> int:
    """Follows them in the order in which they were queued; returns how many failed."""
    failed = 0
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(novels))
        for number, novel in enumerate(novels, 1):
            name = one_line(str(novel["title"]))

            def told(percent: int, _stage: str, _message: str, _left: int | None, name: str = name) -> None:
                progress.update(task, description=f"{percent:3d} %  {name}")

            try:
                watch(gateway, str(novel["novel_id"]), told)
            except ApiError as error:
                failed += 1
                click.echo(f"gaji: “{name}”: {error}", err=True)
            progress.update(task, completed=number)
            if not console.is_terminal:
                console.print(Text(f"{number} of {len(novels)}: “{name}”"), soft_wrap=True)
    return failed

"""``gaji doctor``: what a stack needs on this machine, each with a remedy where it is missing."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from stack.api import Gateway
from stack.backup.places import places_of
from stack.doctor import folder, machine, settings, stores
from stack.doctor.finding import Finding
from stack.errors import StackError


def doctor(data_dir: Path, port: int, url: str | None, *, as_json: bool = False) -> bool:
    """Checks and tells.

    Args:
        data_dir: the stack's data folder.
        port: the gateway's.
        url: a gateway to look at as well.
        as_json: whether to tell programs, a line each.

    Returns:
        Whether a stack could start, and serve.
    """
    console = Console(highlight=False)
    well = True
    for finding in findings(data_dir, port, url):
        well = well and not (finding.remedy and finding.fatal)
        if as_json:
            click.echo(json.dumps({"ok": not finding.remedy, **finding._asdict()}, ensure_ascii=False))
            continue
        mark, style = ("✓", "green") if not finding.remedy else ("✗", "red") if finding.fatal else ("!", "yellow")
        console.print(Text.assemble((f"{mark} ", style), f"{finding.topic:<30}", finding.detail), soft_wrap=True)
        if finding.remedy:
            console.print(Text(f"    {finding.remedy}", style), soft_wrap=True)
    return well


def findings(data_dir: Path, port: int, url: str | None) -> Iterator[Finding]:
    """All checks, in the order of how much depends on them."""
    environment = os.environ
    yield machine.python()
    yield from folder.disk(data_dir)
    yield from folder.owner(data_dir)
    yield from folder.leftovers(data_dir)
    yield folder.clock(data_dir)
    yield from machine.memory()
    yield machine.files()
    yield machine.proxies(environment)
    yield from machine.ports(data_dir, port)
    yield from machine.wheels(environment)
    yield machine.web_app(environment)
    yield settings.settings(environment)
    yield settings.provider(environment)
    yield from folder.certificates(data_dir / "certs")
    yield from stores.database(data_dir, environment)
    yield from stores.redis(environment)
    novels = stores.embedders(places_of(data_dir, environment, None).vectors, environment)
    if novels is not None:
        yield novels
    if url:
        yield from _gateway(url)


def _gateway(url: str) -> Iterator[Finding]:
    try:
        with Gateway(url) as gateway:
            before = time.time()
            answer, there = gateway.readiness(), stores.date_of(url)
    except StackError as error:
        yield Finding("gateway", error.message, error.remedy)
        return
    lacking = [name for name, health in answer["services"].items() if health != "SERVING"]
    remedy = f"look at the logs of {', '.join(lacking)}" if lacking else ""
    yield Finding("gateway", f"{url}: {answer['status']}", remedy)
    if there is not None:
        yield from stores.skew("the gateway", there, before)

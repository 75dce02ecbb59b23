"""``gaji backup``: all that a stack has, in one file."""

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

from stack.backup.making import Wanted, make
from stack.backup.manifest import Manifest
from stack.backup.places import places_of
from stack.commands.moving import moving
from stack.errors import StackError
from stack.state import read_state, sole_stack

SUFFIX = ".tar.zst"


@dataclass(frozen=True, slots=True)
class BackupOptions:
    """What is asked for.

    Attributes:
        data_dir: of the stack.
        target: a file, or a folder for one with a name of its own.
        keys: whether the keys that sign access tokens go along.
        vectors: whether what search keeps does.
        force: whether a file that is there is replaced.
    """

    data_dir: Path
    target: Path
    keys: bool = True
    vectors: bool = True
    force: bool = False


async def backup(options: BackupOptions, console: Console) -> Manifest:
    """Makes a backup.

    Raises:
        StackError: it can't be made; a file that was there is as it was.
    """
    began = time.monotonic()
    target = _file(options.target, force=options.force)
    data_dir = options.data_dir.resolve()
    with ExitStack() as stack:
        state = read_state(data_dir)
        if state is None and data_dir.is_dir():
            stack.enter_context(sole_stack(data_dir))  # it stays stopped meanwhile
        places = places_of(data_dir, os.environ, state)
        console.print(Text(f"a stack that {'runs' if state else 'is stopped'}: {data_dir}", "bold"), soft_wrap=True)
        moved = stack.enter_context(moving(console, "packing and reading back"))

        def told(part: str, how: str) -> None:
            console.print(Text.assemble(("  ✓ ", "green"), f"{part:<10}", how), soft_wrap=True)

        made = await make(places, state, target, wanted=Wanted(options.keys, options.vectors), told=told, moved=moved)
    size = decimal(target.stat().st_size)
    console.print(Text(f"{target}: {size} in {time.monotonic() - began:.1f} s, read back whole"), soft_wrap=True)
    also = " and the keys that sign readers in" if made.keys else ""
    console.print(
        Text(f"it holds what readers wrote, hashes of their passwords{also}: keep it to yourself", "yellow"),
        soft_wrap=True,
    )
    return made


def _file(target: Path, *, force: bool) -> Path:
    """The file to write.

    Raises:
        StackError: it is there already, or its folder is not.
    """
    if target.is_dir():
        return target.resolve() / f"gaji-{datetime.now(UTC):%Y%m%dT%H%M%SZ}{SUFFIX}"
    if not target.parent.is_dir():
        raise StackError(f"there is no folder {target.parent}", "make it first")
    if target.exists() and not force:
        raise StackError(f"{target} is there already", "name another file, or say --force")
    return target.resolve()

"""``gaji restore``: what a backup has, in its place again."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from stack.backup import archive
from stack.backup.manifest import Manifest, told
from stack.backup.places import places_of
from stack.backup.restoring import put_back
from stack.commands.backup import SUFFIX
from stack.commands.moving import moving
from stack.commands.text import command
from stack.errors import StackError
from stack.options import usual_data_dir
from stack.state import sole_stack


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """What is asked for.

    Attributes:
        data_dir: of the stack, which does not run.
        source: the file, or a folder of such files.
        force: whether what is there is replaced.
    """

    data_dir: Path
    source: Path
    force: bool = False


async def restore(options: RestoreOptions, console: Console) -> None:
    """Restores a backup.

    Raises:
        StackError: it can't be restored; what was there is as it was, or is said to be unfinished.
    """
    began = time.monotonic()
    source = newest(options.source)
    data_dir = options.data_dir.resolve()
    with sole_stack(data_dir), moving(console, "reading") as moved:
        places = places_of(data_dir, os.environ, None)

        def tell(part: str, how: str) -> None:
            console.print(Text.assemble(("  ✓ ", "green"), f"{part:<10}", how), soft_wrap=True)

        console.print(Text(f"{source} -> {data_dir}", "bold"), soft_wrap=True)
        manifest = await put_back(places, source, force=options.force, told=tell, moved=moved)
    where = () if options.data_dir == usual_data_dir() else ("--data-dir", str(options.data_dir))
    console.print(Text(f"restored as of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC in {time.monotonic() - began:.1f} s"))
    if not manifest.chroma:
        console.print(
            Text("novels are read anew once it runs, and can be searched when that is done", "yellow"), soft_wrap=True
        )
    if not manifest.keys:
        console.print(
            Text("access tokens of before are refused; readers' pages renew them by themselves", "yellow"),
            soft_wrap=True,
        )
    console.print(Text(f"start it: {command('up', *where)}", "dim"), soft_wrap=True)


def verify_only(source: Path, console: Console) -> None:
    """Reads a backup through, and says what is in it.

    Raises:
        StackError: it is none, or is damaged.
    """
    file = newest(source)
    with moving(console, "reading") as moved:
        manifest = archive.verify(file, moved)
    console.print(Text(f"{file} is whole", "bold green"), soft_wrap=True)
    for name, value in _told_of(manifest):
        console.print(Text(f"  {name:<10}{value}"), soft_wrap=True)


def newest(source: Path) -> Path:
    """The file to restore.

    Raises:
        StackError: there is none.
    """
    if not source.is_dir():
        return source.resolve()
    found = sorted(source.glob(f"gaji-*{SUFFIX}"))
    if not found:
        raise StackError(f"there is no gaji-*{SUFFIX} in {source}", "name a file that `gaji backup` has written")
    return found[-1].resolve()


def _told_of(manifest: Manifest) -> list[tuple[str, str]]:
    return [
        ("made", f"{manifest.made_at:%Y-%m-%d %H:%M:%S} UTC by Gaji {manifest.gaji}"),
        ("library", told(manifest.counts)),
        ("schema", f"{manifest.schema}, from PostgreSQL {manifest.postgres}"),
        ("vectors", f"of Chroma {manifest.chroma}" if manifest.chroma else "left out"),
        ("keys", "in it" if manifest.keys else "left out"),
        ("bytes", f"{manifest.size:,} in {len(manifest.files)} files"),
    ]

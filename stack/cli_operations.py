"""Commands that keep what a stack has: ``gaji backup`` and ``gaji restore``."""

# Imports stand in the commands, so that `gaji --help` answers at once.
# ruff: noqa: PLC0415

from pathlib import Path

import click

from stack.options import data_dir_option

_file = click.Path(path_type=Path)


@click.command()
@click.argument("target", type=_file, metavar="FILE|DIR")
@click.option("--no-keys", is_flag=True, help="Leave out the keys that sign access tokens.")
@click.option("--no-vectors", is_flag=True, help="Leave out what search has made; after a restore it is made anew.")
@click.option("--force", is_flag=True, help="Replace FILE.")
@data_dir_option
def backup(*, target: Path, no_keys: bool, no_vectors: bool, force: bool, data_dir: Path) -> None:
    """Write all that a stack has into one file, while it runs or when it is stopped.

    Into a folder it is written under a name with the time. The file is read back before the command ends. Whoever has
    it has readers' conversations, and with the keys can sign in as anybody: it is of mode 0600, and is to stay so.
    """
    import asyncio

    from rich.console import Console

    from stack.commands.backup import BackupOptions, backup
    from stack.commands.ending import clearing_up

    options = BackupOptions(data_dir, target, keys=not no_keys, vectors=not no_vectors, force=force)
    with clearing_up():
        asyncio.run(backup(options, Console(highlight=False)))


@click.command()
@click.argument("source", type=_file, metavar="FILE|DIR")
@click.option(
    "--force",
    is_flag=True,
    help="Replace what is there. Folders are kept in DIR/before-restore-TIME; "
    "the library in a database of your own (GAJI_DATABASE_URL) is not: back it up first.",
)
@click.option("--verify", is_flag=True, help="Only read the file through and say what is in it.")
@data_dir_option
def restore(*, source: Path, force: bool, verify: bool, data_dir: Path) -> None:
    """Put back what `gaji backup` has written, where no stack runs.

    Of a folder the newest file is taken. All is made ready beside what is there, and takes its place at the end: broken
    off before, nothing has changed; broken off then, the next `gaji up` ends it.
    """
    import asyncio

    from rich.console import Console

    from stack.commands.restore import RestoreOptions, restore, verify_only

    console = Console(highlight=False)
    if verify:
        verify_only(source, console)
    else:
        asyncio.run(restore(RestoreOptions(data_dir, source, force=force), console))

"""``gaji keys``: which keys sign access tokens, and a new one."""

import time
from datetime import datetime
from pathlib import Path

import click

from stack.key_ring import Times, held, rotate
from stack.keys import files_in

_DELEGATED_SECONDS = 600.0  # tokens between rooms live that long, whatever readers' do


def list_keys(data_dir: Path) -> None:
    """Shows the keys of a stack.

    Raises:
        StackError: there are none.
    """
    for entry in held(files_in(data_dir / "secrets"), time.time()):
        until = f"  until {_moment(entry.key.expires_at)}" if entry.state == "retired" else ""
        click.echo(f"{entry.key.key_id}  {entry.state}{until}")


def rotate_keys(data_dir: Path, poll_seconds: float, token_seconds: float) -> None:
    """Has a new key sign the tokens of a stack, which may run meanwhile.

    Raises:
        StackError: there are none, or another rotation is under way.
    """
    times = Times(settle=2 * poll_seconds + 1, token=max(token_seconds, _DELEGATED_SECONDS))

    def sleep(seconds: float) -> None:
        click.echo(f"the new key is published; it signs in {seconds:g} s, when every process has read it ...")
        time.sleep(seconds)

    new, old = rotate(files_in(data_dir / "secrets"), times, sleep=sleep)
    click.echo(f"{new.key_id}  signs")
    click.echo(f"{old.key_id}  retired  until {_moment(old.expires_at)}")


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")

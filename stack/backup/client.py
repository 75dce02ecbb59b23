"""PostgreSQL's own programs, which dump a database and put a dump into another."""

import asyncio
import os
import shutil
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit, urlunsplit

from stack.embedded import postgres
from stack.errors import StackError

CONNECT_SECONDS = 10.0
_LONGEST_SECONDS = 6 * 3600.0


class ProgramError(StackError):
    """A program has said that something is wrong.

    Args:
        message: what it says.
        code: its exit status; negative: the signal that ended it.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message, "see what it says")
        self.code = code


async def run(name: str, url: str, options: Sequence[str]) -> None:
    """Runs a program; the password goes by the environment, for everybody reads command lines.

    Args:
        name: of the program.
        url: of the database.
        options: beside that.

    Raises:
        ProgramError: it ends with an error.
        StackError: there is no such program, or it does not end.
    """
    parts = urlsplit(url)
    user, _, place = parts.netloc.rpartition("@")
    name_only = f"{user.partition(':')[0]}@{place}" if user else place
    quiet = {"PGOPTIONS": "--client-min-messages=warning"}
    env = {**os.environ, **quiet, "PGCONNECT_TIMEOUT": f"{CONNECT_SECONDS:.0f}"}
    if parts.password:
        env["PGPASSWORD"] = unquote(parts.password)
    process = await asyncio.create_subprocess_exec(
        _program(name),
        *options,
        "--no-password",
        f"--dbname={urlunsplit(parts._replace(netloc=name_only))}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=env,
    )
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            _, said = await process.communicate()
    except TimeoutError:
        raise StackError(f"{name} took longer than {_LONGEST_SECONDS / 3600:g} h", "look at the server") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        words = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
        wrong = next((line for line in words if "error:" in line.lower()), words[0] if words else process.returncode)
        raise ProgramError(f"{name} failed: {wrong}", process.returncode)


def _program(name: str) -> str:
    """A program of PostgreSQL: that of the wheel, which is of the newest release and knows all before it."""
    try:
        own = postgres.binaries() / name
        if own.is_file():
            return str(own)
    except StackError:
        pass
    found = shutil.which(name)
    if found is None:
        raise StackError(f"there is no {name}", "install PostgreSQL's client, or the extra `local`")
    return found

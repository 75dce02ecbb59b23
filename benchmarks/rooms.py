"""Rooms as processes of their own: what each takes can be told, and a test may freeze or kill one."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from stack.logs import LogFile
from stack.ports import HOST, Ports
from stack.probes import http_ok
from stack.processes import Program, running


def program_of(service: str, folder: Path, **variables: str) -> tuple[Program, str]:
    """How to run a room, and its address: any free one.

    Args:
        service: a module in ``services``.
        folder: where its log goes, under the service's name.
        variables: its settings.
    """
    ports = Ports()
    address, admin = f"{HOST}:{ports.free()}", f"{HOST}:{ports.free()}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GAJI_")}
    program = Program(
        name=service,
        argv=[sys.executable, "-P", "-m", f"services.{service}"],
        log=LogFile(folder / f"{service}.log"),
        ready=http_ok(admin, "/ready"),
        env={**kept, "GAJI_LISTEN": address, "GAJI_ADMIN_LISTEN": admin, **variables},
    )
    return program, address


@asynccontextmanager
async def room(service: str, folder: Path, **variables: str) -> AsyncIterator[tuple[str, int]]:
    """A room that serves, until the block is left; the arguments are those of `program_of`.

    Yields:
        Its address and its pid.

    Raises:
        StartFailedError: it does not start.
    """
    program, address = program_of(service, folder, **variables)
    async with running(program) as process:
        yield address, process.pid

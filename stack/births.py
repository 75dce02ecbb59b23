"""Has processes forked by `stack.nursery`, which has imported what they share, and knows when they end."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from stack.logs import LogFile
from stack.nursery import MOST_BYTES, PADDING
from stack.processes import Program, Started, executed, wrapped

_SECONDS = 120.0
"""For a birth, and for all that is imported before the first, on a machine that has much else to do."""
_PADDING_NAME = "GAJI_NURSERY"
_NAMES = ("HOME", "LANG", "PATH", "TMPDIR", "TZ")
_KINDS = ("LC_", "LD_", "MALLOC_", "PYTHON")


class Forked:
    """A process that the nursery has forked; like `asyncio.subprocess.Process`.

    Attributes:
        pid: its process id.
        returncode: how it ended; None: it runs.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def wait(self) -> int:
        """Waits for its end; returns its exit code, or a signal's negative number."""
        return await asyncio.shield(self._ended)

    def send_signal(self, signum: int) -> None:
        """Sends a signal unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, signum)

    def end(self, code: int) -> None:
        """It has ended."""
        self.returncode = code
        self._ended.set_result(code)


class Nursery:
    """Starts programs of ``python -P -m``. The nursery itself is started when it is first needed, or has died.

    Its children die with it, and are said to have been killed.

    Args:
        log: where its own words go.
    """

    def __init__(self, log: LogFile) -> None:
        self._log = log
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._channel: socket.socket | None = None
        self._answer: asyncio.Future[Forked] | None = None
        self._living: dict[int, Forked] = {}

    async def open(self) -> None:
        """Has it begin to import, so that the first birth need not wait for that."""
        async with self._turn:
            await self._ready()

    async def start(self, program: Program, output: int) -> Started:
        """Forks a program, or executes it where that can't be done.

        Args:
            program: its command begins with this interpreter and ``-P -m``.
            output: the descriptor that it writes to.

        Raises:
            OSError: the system refuses another process.
        """
        asked = {
            "argv": list(program.argv),
            "env": dict(os.environ if program.env is None else program.env),
            "folder": str(program.folder),
            "orphan_signal": int(program.orphan_signal),
        }
        packet = json.dumps(asked).encode()
        if program.user is None and len(packet) <= MOST_BYTES:
            async with self._turn:
                with suppress(ConnectionError):  # it has ended before it answered
                    return await self._fork(packet, output)
        return await executed(program, output)

    async def close(self) -> None:
        """Ends it, and what is left of its children."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._process = None
        self._lost()

    async def _fork(self, packet: bytes, output: int) -> Forked:
        channel = await self._ready()
        self._answer = asyncio.get_running_loop().create_future()
        try:
            socket.send_fds(channel, [packet], [output])
            async with asyncio.timeout(_SECONDS):
                return await self._answer
        except TimeoutError:
            await self.close()
            raise ConnectionResetError("the nursery did not answer") from None
        finally:
            self._answer = None

    async def _ready(self) -> socket.socket:
        if self._channel is not None:
            return self._channel
        if self._process is not None:
            await self._process.wait()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        writing, _ = self._log.attach()
        try:
            argv = [sys.executable, "-P", "-m", "stack.nursery", str(theirs.fileno()), "-" * PADDING]
            self._process = await asyncio.create_subprocess_exec(
                *wrapped(argv, None, Path.cwd(), signal.SIGKILL),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                env={**_spared(os.environ), "PYTHONUNBUFFERED": "1", _PADDING_NAME: "-" * 8 * PADDING},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(writing)
        ours.setblocking(False)
        asyncio.get_running_loop().add_reader(ours, self._heard, ours)
        self._channel = ours
        return ours

    def _heard(self, channel: socket.socket) -> None:
        try:
            kind, _, rest = channel.recv(1024).decode().partition(" ")
        except BlockingIOError:
            return
        except OSError:
            kind = ""
        if kind == "born":
            child = self._living[int(rest)] = Forked(int(rest))
            if self._answer is not None:
                self._answer.set_result(child)
        elif kind == "ended":
            pid, code = map(int, rest.split())
            if pid in self._living:
                self._living.pop(pid).end(code)
            elif self._answer is not None:
                self._answer.set_exception(ConnectionAbortedError("it ended before it was born"))
        elif kind == "failed":
            if self._answer is not None:
                self._answer.set_exception(BlockingIOError(rest))
        else:
            self._lost()

    def _lost(self) -> None:
        """The nursery has ended, and its children with it."""
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel)
            self._channel.close()
            self._channel = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("the nursery has ended"))
        while self._living:
            _, child = self._living.popitem()
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.end(-signal.SIGKILL)


def _spared(environ: Mapping[str, str]) -> dict[str, str]:
    """What Python needs to start; keys of vendors and URLs with passwords are for the rooms that get them."""
    return {name: value for name, value in environ.items() if name in _NAMES or name.startswith(_KINDS)}


@asynccontextmanager
async def open_nursery(log: LogFile) -> AsyncIterator[Nursery]:
    """A nursery; what it has forked ends with the block."""
    nursery = Nursery(log)
    try:
        await nursery.open()
        yield nursery
    finally:
        await nursery.close()

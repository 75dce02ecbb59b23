"""One child process: started, found ready, stopped."""

import asyncio
import contextlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stack import child
from stack.errors import StackError
from stack.logs import LogFile

STOP_SECONDS = 8.0
_POLL_SECONDS = 0.02
_POLL_MAX_SECONDS = 0.05  # the last pauses of search and the gateway add up to the start's
_LOG_SECONDS = 1.0
_LAST_WORDS = re.compile(r"gaji [a-z]+: ")  # how mesh.process begins its sentence on why it ends


@dataclass(frozen=True, slots=True)
class Program:
    """How to run something.

    Attributes:
        name: what people call it, unique in a stack.
        argv: the command.
        log: where its output goes.
        ready: told its pid, whether it does its work; never raises.
        env: its whole environment; None: this process's.
        user: whom it runs as; None: as this process.
        folder: its working folder.
        stop_signal: asks it to end.
        orphan_signal: what it gets when this process dies.
        ready_seconds: how long it may take to be ready.
        start: makes the process; None: `executed`.
    """

    name: str
    argv: Sequence[str]
    log: LogFile
    ready: Callable[[int], Awaitable[bool]]
    env: Mapping[str, str] | None = None
    user: str | None = None
    folder: Path = Path("/")
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    ready_seconds: float = 60.0
    start: "Start | None" = None


class Started(Protocol):
    """A process that was started; `asyncio.subprocess.Process` is one."""

    @property
    def pid(self) -> int:
        """Its process id, which is also its session's."""

    @property
    def returncode(self) -> int | None:
        """How it ended; None: it runs."""

    async def wait(self) -> int:
        """Waits for its end; returns its exit code, or a signal's negative number."""

    def send_signal(self, signal: int, /) -> None:
        """Sends a signal unless it has ended."""


Start = Callable[[Program, int], Awaitable[Started]]
"""Makes a process in a session of its own that writes to a descriptor."""


class StartFailedError(StackError):
    """A program ended, or did not become ready in time.

    Attributes:
        returncode: how it ended; None: it was not ready in time.
    """

    def __init__(self, message: str, remedy: str, returncode: int | None) -> None:
        super().__init__(message, remedy)
        self.returncode = returncode


class Process:
    """A running program, in a session of its own so that Ctrl-C in a terminal reaches only who started it.

    Attributes:
        program: what runs.
        started: when, by the monotonic clock.
    """

    def __init__(self, program: Program, process: Started, pump: threading.Thread) -> None:
        self.program = program
        self.started = time.monotonic()
        self._process = process
        self._pump = pump

    @classmethod
    async def start(cls, program: Program) -> "Process":
        """Starts a program; to be called in the main thread, whose end would count as the parent's.

        Raises:
            OSError: the system refuses another process.
        """
        writing, pump = program.log.attach()
        starting = asyncio.ensure_future((program.start or executed)(program, writing))
        try:
            return cls(program, await asyncio.shield(starting), pump)
        except asyncio.CancelledError:  # it may exist by now: it must not be forgotten
            await cls(program, await starting, pump).stop(0)
            raise
        finally:
            os.close(writing)

    @property
    def pid(self) -> int:
        """Its process id, which is also its group's."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended; None: it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Waits for its end and leaves nobody of its group behind."""
        code = await self._process.wait()
        self.signal(signal.SIGKILL)
        await asyncio.to_thread(self._pump.join, _LOG_SECONDS)  # so that its last words can be read
        return code

    async def wait_ready(self) -> float:
        """Waits until it is ready; returns the seconds since its start.

        Raises:
            StartFailedError: it ended, or took longer than it may.
        """
        pause = _POLL_SECONDS
        while not await self.program.ready(self.pid):
            if self.returncode is not None:
                raise self._failed(f"ended with code {self.returncode} before it was ready")
            if time.monotonic() - self.started > self.program.ready_seconds:
                raise self._failed(f"was not ready within {self.program.ready_seconds:g} s")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _POLL_MAX_SECONDS)
        return time.monotonic() - self.started

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Asks it to end, and after so many seconds makes it."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(self.program.stop_signal)
            try:
                await asyncio.wait_for(self._process.wait(), seconds)
            except TimeoutError:
                pass
            finally:
                self.signal(signal.SIGKILL)
        await self.wait()

    def signal(self, signum: signal.Signals) -> None:
        """Sends a signal to its group, if anybody of it is left."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signum)

    def _failed(self, how: str) -> StartFailedError:
        name, lines = self.program.name, self.program.log.tail()
        last = lines[-1] if lines else ""
        if words := _LAST_WORDS.match(last):
            message = f"{name} cannot start: {last[words.end() :]}"
        else:
            message = f"{name} {how} (it said: {last})" if last else f"{name} {how}"
        return StartFailedError(message, f"see {self.program.log.path}", self.returncode)


async def executed(program: Program, output: int) -> Started:
    """Starts a program by executing its command.

    Raises:
        OSError: the system refuses another process.
    """
    return await asyncio.create_subprocess_exec(
        *wrapped(program.argv, program.user, program.folder, program.orphan_signal),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=program.env,
        start_new_session=True,
    )


@asynccontextmanager
async def running(program: Program) -> AsyncIterator[Process]:
    """A program, ready, for as long as the block lasts.

    Raises:
        StartFailedError: it ended, or took longer than it may.
    """
    process = await Process.start(program)
    try:
        await process.wait_ready()
        yield process
    finally:
        await process.stop()


def wrapped(argv: Sequence[str], user: str | None, folder: Path, orphan_signal: signal.Signals) -> list[str]:
    """The command that runs another one through `stack.child`."""
    return [
        sys.executable,
        "-I",
        "-S",
        child.__file__,
        str(os.getpid()),
        str(int(orphan_signal)),
        user or "",
        str(folder),
        *argv,
    ]

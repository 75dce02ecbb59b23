"""Child processes that are asked for things, a line of JSON for each question and each answer."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

_SECONDS = 60.0
_LONGEST_LINE = 1024 * 1024
_DROPPED = ("GAJI_", "OTEL_", "GRPC_", "PYTHON", "GEMINI_")
_SET = {
    "PYTHONHASHSEED": "0",  # sets of text are walked in one order
    "OMP_NUM_THREADS": "1",  # a thread that spins while it waits would be counted as work
    "OPENBLAS_NUM_THREADS": "1",
}

Handler = Callable[..., Awaitable[Any]]


class ChildError(Exception):
    """A child could not do what it was asked for; the text says why."""


class Child:
    """A running child.

    Args:
        process: with pipes.
        log: where its standard error goes.
    """

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def ask(self, do: str, **arguments: Any) -> Any:
        """What the handler of a name answers, within a minute.

        Raises:
            ChildError: it has failed, has ended, or did not answer in time.
        """
        pipes = self._process
        assert pipes.stdin
        assert pipes.stdout
        pipes.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        try:
            async with asyncio.timeout(_SECONDS):
                line = await pipes.stdout.readline()
        except TimeoutError:
            pipes.kill()  # a late answer would be taken for that to the next question
            raise ChildError(f"{do}: no answer within {_SECONDS:.0f} s; {self._words()}") from None
        if not line:
            raise ChildError(f"{do}: the process has ended; {self._words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise ChildError(f"{do}: {answer['error']}")
        return answer["value"]

    def _words(self) -> str:
        """The last lines that it wrote."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-20:]) or "it wrote nothing"


@asynccontextmanager
async def open_child(module: str, *arguments: str, tree: Path, log: Path) -> AsyncIterator[Child]:
    """A module of a source tree as a process, which ends with the block or with this process.

    Args:
        module: e.g. ``benchmarks.guard.worker``; it calls `answer`.
        arguments: its command line.
        tree: the source tree that it imports everything of.
        log: where its standard error is appended.
    """
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(_DROPPED)}
    kept = {name: value for name, value in kept.items() if not name.lower().endswith("_proxy")}
    path = os.pathsep.join([str(tree), str(tree / "generated")])
    pipe = asyncio.subprocess.PIPE
    with log.open("ab") as written:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", module, *arguments),
            cwd=tree,
            env={**kept, **_SET, "PYTHONPATH": path},
            stdin=pipe,
            stdout=pipe,
            stderr=written,
            limit=_LONGEST_LINE,
        )
    try:
        yield Child(process, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class LateChild:
    """A child that is begun when it is first asked.

    Args:
        opened: begins it.
        stack: ends it.
    """

    def __init__(self, opened: AbstractAsyncContextManager[Child], stack: AsyncExitStack) -> None:
        self._opened = opened
        self._stack = stack
        self._child: Child | None = None

    async def ask(self, do: str, **arguments: Any) -> Any:
        """As `Child.ask`."""
        if self._child is None:
            self._child = await self._stack.enter_async_context(self._opened)
        return await self._child.ask(do, **arguments)


async def answer(handlers: Mapping[str, Handler]) -> None:
    """Answers questions on standard input until it ends."""
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        question = json.loads(line)
        try:
            said = {"value": await handlers[question.pop("do")](**question)}
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            said = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.buffer.write(json.dumps(said).encode() + b"\n")
        sys.stdout.buffer.flush()

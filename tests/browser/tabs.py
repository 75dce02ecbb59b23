"""A browser, driven through a process of Node (``node/driver.mjs``)."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.fixtures.node import node_environment

SECONDS = 60.0
_MAX_LINE_BYTES = 1 << 20


class Browser:
    """A browser with one profile: its tabs share cookies."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}

    @asynccontextmanager
    async def tab(self, url: str) -> AsyncIterator["Tab"]:
        """A tab with a page, until the block is left."""
        tab = Tab(self, f"tab {next(self._numbers)}")
        await tab.do("open", url)
        try:
            yield tab
        finally:
            await tab.do("close")

    async def ask(self, tab: str, action: str, argument: Any) -> Any:
        """Has the driver do something; what came of it.

        Raises:
            RuntimeError: it could not.
            TimeoutError: it took too long.
        """
        assert self._process.stdin is not None
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        line = {"id": number, "tab": tab, "do": action, "with": argument}
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        try:
            return await asyncio.wait_for(answer, SECONDS)
        finally:
            del self._asked[number]

    async def hear(self) -> None:
        """Takes the driver's answers until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said = json.loads(line)
            answer = self._asked.get(said["id"])
            if answer is None or answer.done():  # given up
                continue
            if "error" in said:
                answer.set_exception(RuntimeError(said["error"]))
            else:
                answer.set_result(said["value"])
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(RuntimeError("the browser has gone"))


class Tab:
    """A tab with the page of ``page/``."""

    def __init__(self, browser: Browser, name: str) -> None:
        self._browser = browser
        self._name = name

    async def do(self, action: str, argument: Any = None) -> Any:
        """One of the driver's actions."""
        return await self._browser.ask(self._name, action, argument)

    async def call(self, function: str, *arguments: Any) -> Any:
        """Calls a function of the page's script, and waits for what it promises."""
        return await self.do("call", [function, arguments])


@asynccontextmanager
async def open_browser(packages: Path, folder: Path) -> AsyncIterator[Browser]:
    """A browser, until the block is left.

    Args:
        packages: where the driver and its packages are.
        folder: for the browser, its profile and whatever else it writes.
    """
    process = await asyncio.create_subprocess_exec(
        "node",
        "driver.mjs",
        cwd=packages,
        env={**node_environment(), "TMPDIR": str(folder), "HOME": str(folder)},
        stdin=asyncio.subprocess.PIPE,  # whose end, however it comes, ends the driver and with it the browser
        stdout=asyncio.subprocess.PIPE,
        limit=_MAX_LINE_BYTES,
    )
    assert process.stdin is not None
    browser = Browser(process)
    hearing = asyncio.create_task(browser.hear())
    try:
        yield browser
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), SECONDS)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            await hearing

"""Tabs of one profile, each with the page of ``page/``."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import BrowserContext, Page

SECONDS = 60.0
_CALL = "([name, given]) => globalThis[name](...given)"


class Browser:
    """A profile: its tabs share cookies."""

    def __init__(self, context: BrowserContext) -> None:
        self._context = context

    @asynccontextmanager
    async def tab(self, url: str) -> AsyncIterator["Tab"]:
        """A tab with a page, until the block is left."""
        page = await self._context.new_page()
        try:
            await page.goto(url)
            yield Tab(page)
        finally:
            await page.close()


class Tab:
    """A tab with the page of ``page/``."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def reload(self) -> None:
        """Loads the page anew."""
        await self._page.reload()

    async def call(self, function: str, *arguments: Any) -> Any:
        """Calls a function of the page's script, and waits for what it promises.

        Raises:
            TimeoutError: it took too long.
        """
        async with asyncio.timeout(SECONDS):
            return await self._page.evaluate(_CALL, [function, list(arguments)])

"""A browser whose reader is signed in, and a conversation of that reader's."""

from collections.abc import AsyncIterator

import httpx
import playwright.async_api
import pytest

from tests.browser.front import Front
from tests.browser.tabs import SECONDS, Browser
from tests.e2e.conftest import Talk, talk_of
from tests.e2e.reader import Reader
from tests.fixtures.stack import RunningStack


@pytest.fixture(scope="module")
async def browser(chrome: playwright.async_api.Browser) -> AsyncIterator[Browser]:
    """A profile of a browser."""
    context = await chrome.new_context()
    context.set_default_timeout(SECONDS * 1000)
    yield Browser(context)
    await context.close()


@pytest.fixture
async def front(running_stack: RunningStack) -> AsyncIterator[Front]:
    """The site that the browser visits: page and gateway of one origin."""
    async with Front(running_stack.url).serving() as serving:
        yield serving


@pytest.fixture(scope="module")
async def talk(running_stack: RunningStack, browser: Browser) -> AsyncIterator[Talk]:
    """A novel, a scenario and a conversation of the guest whose cookie the browser has."""
    async with Front(running_stack.url).serving() as front, browser.tab(front.url) as tab:
        session = await tab.call("signIn")
    async with httpx.AsyncClient(base_url=running_stack.url, timeout=SECONDS) as client:
        client.headers["authorization"] = f"Bearer {session['access_token']}"
        yield await talk_of(Reader(client, session["access_token"], session["user_id"]))

"""A browser whose reader is signed in, and a conversation of that reader's."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.browser.front import Front
from tests.browser.tabs import SECONDS, Browser, open_browser
from tests.e2e.conftest import Talk, talk_of
from tests.e2e.reader import Reader
from tests.fixtures.node import install_packages
from tests.fixtures.servers import temporary_folder
from tests.fixtures.stack import RunningStack


@pytest.fixture(scope="module")
def browser_folder() -> Iterator[Path]:
    """Where the packages and the browser unpacked from them are: 300 MB, which pytest's folders would keep for days."""
    with temporary_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
async def browser(browser_folder: Path) -> AsyncIterator[Browser]:
    """A browser."""
    packages, own = browser_folder / "packages", browser_folder / "browser"
    own.mkdir()
    await install_packages(Path(__file__).parent / "node", packages)
    async with open_browser(packages, own) as opened:
        yield opened


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

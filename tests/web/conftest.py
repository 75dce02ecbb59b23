"""The web app in a real browser, served by the gateway of a real stack with a scripted model."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import httpx
import pytest
from playwright.async_api import Browser

from tests.fixtures.stack import RunningStack
from tests.web.tale import Tale, tale_at
from tests.web.visits import Visit, visiting

Visiting = Callable[..., AbstractAsyncContextManager[Visit]]


@pytest.fixture(scope="session")
def site(running_stack: RunningStack) -> str:
    """Where the app is served."""
    answer = httpx.get(running_stack.url)
    assert answer.headers["content-type"].startswith("text/html"), "the web app is not built: run `make web`"
    return running_stack.url


@pytest.fixture
def visit(chrome: Browser, site: str) -> Visiting:
    """Opens visits: ``visit(locale="ko", colours="dark", width=390)``."""
    return partial(visiting, chrome, site)


@pytest.fixture(scope="session")
async def tale(site: str) -> Tale:
    """A novel on everybody's shelf."""
    return await tale_at(site)

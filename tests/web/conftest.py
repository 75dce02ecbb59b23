"""The web app in a real browser, served by the gateway of a real stack with a scripted model."""

import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial

import httpx
import pytest
from playwright.async_api import Browser

from tests.e2e.reader import STORY, reader_at
from tests.fixtures.stack import RunningStack
from tests.web.visits import Visit, visiting

Visiting = Callable[..., AbstractAsyncContextManager[Visit]]


@dataclass(frozen=True, slots=True)
class Tale:
    """A novel that everybody may read, with a scenario.

    Attributes:
        novel_id, title: the novel's; no other has the title.
        scenario_id, scenario: the scenario's id and title.
        character: the name of one of its people.
    """

    novel_id: str
    title: str
    scenario_id: str
    scenario: str
    character: str


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
    async with reader_at(site) as author:
        title = f"The Ferry {uuid.uuid4().hex[:6]}"
        about = {"author": "The Gaji project", "language": "en", "visibility": "VISIBILITY_PUBLIC"}
        novel_id = await author.add_novel(title, STORY, **about)
        scenario = {
            "novel_id": novel_id,
            "title": "The ferryman refuses",
            "description": "What if Tobias had refused the coins?",
            "visibility": "VISIBILITY_PUBLIC",
        }
        made = await author.ok("POST", "/api/scenarios", scenario)
        characters = (await author.ok("GET", f"/api/novels/{novel_id}/characters"))["characters"]
    return Tale(novel_id, title, made["scenario_id"], scenario["title"], characters[0]["name"])

"""For everybody: what axe finds, the keyboard alone, words on every page."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, Locator, Page, StorageState, expect

from tests.web.conftest import Visiting
from tests.web.pages import opened, pages_of
from tests.web.tale import Tale
from tests.web.talks import at_rest, box, shown, stored
from tests.web.visits import visiting

pytestmark = pytest.mark.timeout(300)  # the stack, a novel and the browser come first


@dataclass(frozen=True, slots=True)
class Furnished:
    """A reader who has something on each page.

    Attributes:
        state: cookies and storage.
        pages: paths by name.
    """

    state: StorageState
    pages: Mapping[str, str]


@pytest.fixture(scope="module")
async def furnished(chrome: Browser, site: str, tale: Tale) -> AsyncIterator[Furnished]:
    async with visiting(chrome, site) as visit:
        await opened(visit.page, "/")
        pages = await pages_of(visit.context.request, tale.novel_id)
        yield Furnished(await visit.context.storage_state(), pages)


@pytest.mark.parametrize(("colours", "width"), [("light", 1280), ("dark", 390)])
async def test_axe_finds_nothing_on_any_page(
    visit: Visiting, furnished: Furnished, colours: Literal["light", "dark"], width: int
) -> None:
    found: dict[str, Any] = {}
    async with visit(colours=colours, width=width, storage_state=furnished.state) as visited:
        for name, path in furnished.pages.items():
            await opened(visited.page, path)
            found[name] = await visited.axe()
            # Nothing is cut off or has to be scrolled to at the side (WCAG 2.2, 1.4.10).
            if await visited.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                found[name].append("the page is wider than the window")
    assert found == {name: [] for name in furnished.pages}


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_every_page_has_words_and_a_title_of_its_own(
    visit: Visiting, furnished: Furnished, language: str
) -> None:
    titles = set()
    state: Any = {**furnished.state, "origins": []}
    async with visit(locale=language, storage_state=state) as visited:
        for path in furnished.pages.values():
            await opened(visited.page, path)
            # The key of a word that is missing, or a place in it that nothing has filled.
            words = await visited.page.locator("body").inner_text()
            assert not re.search(
                r"\b(account|chat|components|library|novel|scenario|shell|status)\.[a-z]+\b|\{\w+\}", words
            )
            titles.add(await visited.page.title())
    assert len(titles) == len(furnished.pages), titles


async def test_the_keyboard_is_enough(visit: Visiting, tale: Tale) -> None:
    async with visit() as visited:
        page = visited.page
        await opened(page, "/")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("main")).to_be_focused()
        await press(page, page.get_by_role("link", name=tale.title))
        await expect(page.get_by_role("heading", level=1, name=tale.title)).to_be_visible()

        begin = page.get_by_role("button", name=re.compile(re.escape(tale.scenario)))
        await press(page, begin)
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(begin).to_be_focused()  # a dialog gives the keyboard back
        await page.keyboard.press("Enter")
        await press(page, page.get_by_role("dialog").get_by_role("button", name=tale.character).first)
        await page.wait_for_url("**/conversations/*")
        await at_rest(page)

        await tab_to(page, box(page))
        await page.keyboard.type("Who are you?")
        await page.keyboard.press("Shift+Enter")
        await page.keyboard.type("Tell me.")
        await page.keyboard.press("Enter")
        await at_rest(page)
        await expect(box(page)).to_be_focused()  # ready for the next
        assert await shown(page) == await stored(page)
        assert (await shown(page))[1] == "Who are you? Tell me."


async def tab_to(page: Page, target: Locator) -> None:
    """Presses Tab until something has the keyboard; what has it can be seen to have it."""
    await expect(target).to_be_visible()
    for _ in range(100):
        if await target.evaluate("(element) => element === document.activeElement"):
            ring = "(element) => getComputedStyle(element).outlineStyle + getComputedStyle(element).boxShadow"
            assert await target.evaluate(ring) != "nonenone", "nothing shows where the keyboard is"
            return
        await page.keyboard.press("Tab")
    pytest.fail(f"the keyboard does not get to {target}")


async def press(page: Page, target: Locator) -> None:
    """Goes to something by Tab and presses Enter."""
    await tab_to(page, target)
    await page.keyboard.press("Enter")

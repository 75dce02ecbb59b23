"""The web app with the language model that needs no key: real words, at the pace at which they are found."""

import re
from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.fixtures.servers import temporary_folder
from tests.fixtures.stack import RunningStack, start_stack
from tests.web.tale import Tale, tale_at
from tests.web.talks import asked, at_rest, begun, shown, stored, words_shown
from tests.web.visits import visiting

pytestmark = pytest.mark.timeout(300)  # the stack, its model, a novel and the browser come first


@pytest.fixture(scope="module")
def local() -> Iterator[RunningStack]:
    with temporary_folder() as folder:
        env = {"GAJI_PROVIDER": "local", "GAJI_MAX_TOKENS": "160"}
        with start_stack(folder / "data", "--no-sample", env=env) as running:
            yield running


@pytest.fixture(scope="module")
async def local_tale(local: RunningStack) -> Tale:
    return await tale_at(local.url)


def _words(texts: list[str]) -> list[list[str]]:
    """The texts without what Markdown makes of them: a model writes stars and quotes where it likes."""
    return [re.findall(r"\w+", text) for text in texts]


async def whole(page: Page, messages: int) -> None:
    """Waits until nothing is being written: all that is stored can be read, to the last word."""
    await at_rest(page)
    kept = _words(await stored(page))
    assert len(kept) == messages
    assert all(kept)
    assert _words(await shown(page)) == kept
    await expect(page.get_by_role("alert")).to_have_count(0)


async def test_a_talk_with_the_local_model(chrome: Browser, local: RunningStack, local_tale: Tale) -> None:
    async with visiting(chrome, local.url) as visit:
        page = visit.page
        await begun(page, local_tale)
        await whole(page, 1)

        await asked(page, "Who are you, and what do you carry across the water?")
        await words_shown(page, 3)
        await page.reload()  # in the middle of it, or just after: it goes on
        await whole(page, 3)

        last = page.locator("article").last
        await last.get_by_role("button", name="Let it be said in another way").click()
        await expect(last.get_by_text("2/2")).to_be_visible()
        await whole(page, 3)
        await last.get_by_role("button", name="Previous version").click()
        await expect(page.locator("article").last.get_by_text("1/2")).to_be_visible()
        await whole(page, 3)

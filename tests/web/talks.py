"""What a reader does in a talk."""

import re
from typing import Any

from playwright.async_api import Locator, Page, expect

from tests.web.tale import Tale

REPLY_MS = 60_000


def box(page: Page, language: str = "en") -> Locator:
    """Where the reader writes."""
    return page.get_by_role(
        "textbox", name={"en": re.compile("^Your message to "), "ko": re.compile("메시지")}[language]
    )


async def begun(page: Page, tale: Tale) -> None:
    """Begins a talk with somebody of a novel and waits for the end of the opening."""
    await page.goto(f"/novels/{tale.novel_id}")
    await page.get_by_role("button", name=re.compile(re.escape(tale.scenario))).click()
    await page.get_by_role("dialog").get_by_role("button", name=tale.character).first.click()
    await page.wait_for_url("**/conversations/*")
    await at_rest(page)


async def asked(page: Page, text: str) -> None:
    """Says something to the character."""
    await box(page).fill(text)
    await box(page).press("Enter")


async def words_shown(page: Page, least: int) -> None:
    """Waits until the newest message has so many words."""
    count = "(least) => [...document.querySelectorAll('article .text')].at(-1)?.innerText.split(/\\s+/).length >= least"
    await page.wait_for_function(count, arg=least, timeout=REPLY_MS)


async def at_rest(page: Page) -> None:
    """Waits until nothing is being written."""
    await expect(page.locator(".composer button[type=submit]")).to_be_visible(timeout=REPLY_MS)


async def shown(page: Page) -> list[str]:
    """The texts of the messages, oldest first, as they can be read."""
    texts = await page.locator("article .text").all_inner_texts()
    return [" ".join(text.split()) for text in texts]


async def stored(page: Page) -> list[str]:
    """The same as they are kept."""
    conversation = page.url.rpartition("/")[2]
    answer = await page.context.request.get(f"/api/conversations/{conversation}/messages")
    messages: list[dict[str, Any]] = (await answer.json())["messages"]
    return [" ".join(message["content"].split()) for message in messages]

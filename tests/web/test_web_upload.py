"""A novel of the reader's own: from the file to a talk in a what-if of the reader's own."""

import re

import pytest
from playwright.async_api import FilePayload, expect

from tests.e2e.reader import STORY
from tests.web.conftest import Visiting
from tests.web.talks import asked, at_rest, shown, stored

pytestmark = pytest.mark.timeout(300)  # the stack and the browser come first


async def test_a_file_becomes_a_talk(visit: Visiting) -> None:
    async with visit() as visited:
        page = visited.page
        await page.goto("/")
        await expect(page.get_by_role("button", name="Add a novel")).to_be_visible()
        file: FilePayload = {"name": "marrow-point.txt", "mimeType": "text/plain", "buffer": STORY.encode()}
        await page.locator("input[type=file]").set_input_files(files=[file])
        await expect(page.get_by_text(re.compile("is ready"))).to_be_visible(timeout=120_000)
        await page.get_by_role("link", name=re.compile("marrow.point", re.IGNORECASE)).first.click()

        await page.get_by_role("link", name=re.compile("what-if", re.IGNORECASE)).first.click()
        await page.get_by_label("What is different?").fill("What if Tobias had kept the coins for himself?")
        pins = page.get_by_role("button", name=re.compile("^Pin"))
        await pins.first.click()  # found while one writes
        await expect(page.get_by_text("Pinned: 1 of at most 20")).to_be_visible()
        await page.get_by_role("button", name="Save and choose whom to meet").click()
        await page.get_by_role("dialog").get_by_role("button", name="Tobias").first.click()
        await page.wait_for_url("**/conversations/*")
        await at_rest(page)
        await asked(page, "Where are the coins?")
        await at_rest(page)
        assert await shown(page) == await stored(page)
        assert len(await shown(page)) == 3


async def test_what_is_no_book_is_refused_in_words(visit: Visiting) -> None:
    async with visit() as visited:
        page = visited.page
        await page.goto("/")
        file: FilePayload = {"name": "picture.png", "mimeType": "image/png", "buffer": b"\x89PNG\r\n"}
        await page.locator("input[type=file]").set_input_files(files=[file])
        await expect(page.get_by_text("This is not a book that can be read", exact=False)).to_be_visible()

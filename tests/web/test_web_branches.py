"""Branches of a talk: said in another way, regenerated, forked, and the drawn tree to move in."""

import re

import pytest
from playwright.async_api import expect

from tests.web.conftest import Visiting
from tests.web.tale import Tale
from tests.web.talks import asked, at_rest, begun, shown, stored

pytestmark = pytest.mark.timeout(300)  # the stack, a novel and the browser come first


async def test_a_talk_is_branched_and_the_tree_leads_back(visit: Visiting, tale: Tale) -> None:
    async with visit() as visited:
        page = visited.page
        await begun(page, tale)
        await asked(page, "Who are you?")
        await at_rest(page)

        mine = page.locator("article").filter(has_text="Who are you?")
        await mine.get_by_role("button", name="Edit").click()
        await page.get_by_label("Your message, said in another way").fill("What do you fear?")
        await page.get_by_role("button", name="Send again").click()
        await expect(page.locator("article").filter(has_text="What do you fear?")).to_be_visible()
        await at_rest(page)
        assert (await shown(page))[1] == "What do you fear?"
        assert await shown(page) == await stored(page)

        await page.get_by_role("button", name=re.compile("Show the branches|^Branches$")).first.click()
        tree = page.get_by_role("tree")
        await expect(tree.get_by_role("treeitem")).to_have_count(5)
        await tree.get_by_role("treeitem", name="Who are you?").click()
        await expect(page.locator("article").filter(has_text="Who are you?")).to_be_visible()
        assert (await shown(page))[1] == "Who are you?"
        assert await shown(page) == await stored(page)

        last = page.locator("article").last
        await last.get_by_role("button", name="Let it be said in another way").click()
        await expect(last.get_by_text("2/2")).to_be_visible()
        await at_rest(page)
        await last.get_by_role("button", name="Previous version").click()
        await expect(page.locator("article").last.get_by_text("1/2")).to_be_visible()
        assert await shown(page) == await stored(page)

        whole = await shown(page)
        before = page.url
        await page.locator("article").nth(1).get_by_role("button", name="New conversation from here").click()
        await page.wait_for_url(lambda url: url != before)
        await expect(page.locator("article")).to_have_count(2)
        await at_rest(page)
        assert await shown(page) == whole[:2] == await stored(page)


async def test_sources_of_a_reply_are_opened_in_the_book(visit: Visiting, tale: Tale) -> None:
    async with visit() as visited:
        page = visited.page
        await begun(page, tale)
        await page.get_by_text(re.compile("^From .* of the book")).last.click()
        await page.get_by_role("button", name="Open in the book").first.click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        await expect(page.get_by_role("dialog").locator("mark, [aria-current]").first).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)

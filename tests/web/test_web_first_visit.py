"""The way of somebody who has never been here: a guest, a novel, a scenario, a talk."""

import re

import pytest
from playwright.async_api import expect

from tests.fixtures.stack import RunningStack
from tests.web.conftest import Visiting
from tests.web.tale import Tale
from tests.web.talks import at_rest, box, shown, stored

pytestmark = pytest.mark.timeout(300)  # the stack, a novel and the browser come first


async def test_people_are_told_where_to_read(running_stack: RunningStack, site: str) -> None:
    assert f"read: {site}\n" in running_stack.output


async def test_a_first_visit_ends_in_a_talk(visit: Visiting, tale: Tale) -> None:
    async with visit() as visited:
        page = visited.page
        await page.goto("/")
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Take a novel")
        await page.get_by_role("link", name=tale.title).click()
        await expect(page.get_by_role("heading", level=1, name=tale.title)).to_be_visible()
        assert tale.title in await page.title()
        await page.get_by_role("button", name=re.compile(re.escape(tale.scenario))).click()
        await page.get_by_role("dialog").get_by_role("button", name=tale.character).first.click()
        await page.wait_for_url("**/conversations/*")
        await at_rest(page)
        assert await shown(page) == await stored(page)

        await box(page).fill("Who are you?")
        await box(page).press("Enter")
        await expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
        await at_rest(page)
        opening, asked, reply = await stored(page)
        assert asked == "Who are you?"
        assert reply == " ".join(f"word{number}" for number in range(1, 101))
        assert await shown(page) == [opening, asked, reply]
        await expect(box(page)).to_have_value("")

        await page.reload()
        await at_rest(page)
        assert await shown(page) == [opening, asked, reply]
        await page.goto("/")  # nobody new any more: there is a talk to go on with
        await expect(page.get_by_role("link", name=re.compile(re.escape(tale.character))).first).to_be_visible()


async def test_korean_is_spoken_to_whoever_s_browser_asks_for_it(visit: Visiting, tale: Tale) -> None:
    async with visit(locale="ko-KR") as visited:
        page = visited.page
        await page.goto("/")
        await expect(page.locator("html")).to_have_attribute("lang", "ko")
        await expect(page.get_by_role("navigation").get_by_role("link", name="서재")).to_be_visible()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("소설을 골라")
        await page.get_by_role("link", name=tale.title).click()
        await page.get_by_role("button", name=re.compile(re.escape(tale.scenario))).click()
        await page.get_by_role("dialog").get_by_role("button", name=tale.character).first.click()
        await page.wait_for_url("**/conversations/*")
        await at_rest(page)
        await box(page, "ko").fill("당신은 누구인가요?")
        await box(page, "ko").press("Enter")
        await at_rest(page)
        assert (await shown(page))[1] == "당신은 누구인가요?"
        assert await shown(page) == await stored(page)
        await page.get_by_role("button", name="English").click()
        await expect(page.locator("html")).to_have_attribute("lang", "en")
        await expect(page.get_by_role("link", name="Library")).to_be_visible()
        await page.reload()  # it is remembered, whatever the browser asks for
        await expect(page.get_by_role("link", name="Library")).to_be_visible()

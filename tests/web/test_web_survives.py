"""A reply in a browser, while something breaks: the text is the one that is stored, to the last word."""

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from benchmarks.faults.killing import Killer, count_of
from benchmarks.faults.proxy import Mode, open_proxy
from benchmarks.faults.running import Stack
from stack.ports import HOST, Ports
from tests.fixtures.servers import temporary_folder
from tests.fixtures.stack import start_stack
from tests.web.tale import Tale, tale_at
from tests.web.talks import asked, at_rest, begun, shown, stored, words_shown
from tests.web.visits import Visit, visiting

pytestmark = pytest.mark.timeout(300)  # the stack, a novel and the browser come first
WORDS = 200
"""In a reply, 25 a second: eight seconds in which something can break."""
WHOLE = " ".join(f"word{number}" for number in range(1, WORDS + 1))
# What Chromium writes into its console of a connection that breaks, or of a gateway that is not there yet.
_BROKEN = r"net::ERR_(INTERNET_DISCONNECTED|CONNECTION_\w+|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE|NETWORK_CHANGED)"


@pytest.fixture(scope="module")
def fragile() -> Iterator[Stack]:
    """A stack for this module alone: its processes are killed. Two write replies."""
    env = {"GAJI_SCRIPTED_TOKENS": str(WORDS), "GAJI_SCRIPTED_RATE": "25"}
    with temporary_folder() as folder:
        with start_stack(folder / "data", "--no-sample", "--replicas", "generation=2", env=env) as running:
            running.wait_for_workers()
            yield Stack(running.data_dir)


@pytest.fixture(scope="module")
async def fragile_tale(fragile: Stack) -> Tale:
    return await tale_at(fragile.gateways[0])


@asynccontextmanager
async def reading(chrome: Browser, stack: Stack, tale: Tale, url: str = "") -> AsyncIterator[Visit]:
    """A reader in the middle of a reply, at a gateway or at what stands before it."""
    async with visiting(chrome, url or stack.gateways[0]) as visit:
        visit.allow(_BROKEN)
        await begun(visit.page, tale)
        await asked(visit.page, "What did you see?")
        await words_shown(visit.page, 20)
        yield visit


async def exact(page: Page) -> None:
    """Waits for the end of the reply; every message is as it is stored, the reply whole."""
    await at_rest(page)
    kept = await stored(page)
    assert kept[-1] == WHOLE
    assert await shown(page) == kept
    await expect(page.get_by_role("alert")).to_have_count(0)


async def test_the_network_goes_and_comes_back(chrome: Browser, fragile: Stack, fragile_tale: Tale) -> None:
    async with reading(chrome, fragile, fragile_tale) as visit:
        await visit.context.set_offline(True)
        await expect(visit.page.get_by_text("You are offline", exact=False).first).to_be_visible()
        assert len((await shown(visit.page))[-1].split()) < WORDS
        await visit.context.set_offline(False)
        await exact(visit.page)
        await expect(visit.page.get_by_text("You are offline", exact=False)).to_have_count(0)


@pytest.mark.parametrize("mode", [Mode.RESET, Mode.BLACKHOLE])
async def test_the_connection_is_cut(chrome: Browser, fragile: Stack, fragile_tale: Tale, mode: Mode) -> None:
    async with open_proxy(httpx.URL(fragile.gateways[0]).port or 80, Ports()) as network:
        async with reading(chrome, fragile, fragile_tale, f"http://{HOST}:{network.port}") as visit:
            await network.become(mode)
            await visit.context.set_offline(True)  # a phone that has lost its network knows it
            await expect(visit.page.get_by_text("You are offline", exact=False).first).to_be_visible()
            assert len((await shown(visit.page))[-1].split()) < WORDS
            await network.become(Mode.PASS)
            await visit.context.set_offline(False)
            await exact(visit.page)


async def test_the_gateway_is_killed_and_started_again(chrome: Browser, fragile: Stack, fragile_tale: Tale) -> None:
    async with reading(chrome, fragile, fragile_tale) as visit, Killer(fragile, random.Random(1)) as killer:
        assert await killer.kill(fragile.replicas("gateway")[0]) is not None
        await exact(visit.page)


async def test_the_process_that_writes_is_killed(chrome: Browser, fragile: Stack, fragile_tale: Tale) -> None:
    async with reading(chrome, fragile, fragile_tale) as visit, Killer(fragile, random.Random(1)) as killer:
        async with httpx.AsyncClient(timeout=2.0) as http:
            writers = [
                replica
                for replica in fragile.replicas("generation")
                if await count_of(http, replica, "gaji_generations_active")
            ]
        assert await killer.kill(writers[0]) is not None
        await exact(visit.page)
    await fragile.settled()


async def test_a_reload_in_the_middle_goes_on(chrome: Browser, fragile: Stack, fragile_tale: Tale) -> None:
    async with reading(chrome, fragile, fragile_tale) as visit:
        await visit.page.reload()
        await exact(visit.page)


async def test_two_tabs_are_in_step_and_either_stops(chrome: Browser, fragile: Stack, fragile_tale: Tale) -> None:
    async with reading(chrome, fragile, fragile_tale) as visit:
        other = await visit.context.new_page()
        await other.goto(visit.page.url)
        await words_shown(other, 25)
        await other.get_by_role("button", name="Stop", exact=True).click()
        for page in (visit.page, other):
            await at_rest(page)
            await expect(page.get_by_text("Stopped here")).to_be_visible()
            assert await shown(page) == await stored(page)
        assert len((await stored(other))[-1].split()) < WORDS

        await asked(other, "And then?")  # what one tab begins the other shows as well
        await expect(visit.page.locator("article")).to_have_count(5)
        for page in (visit.page, other):
            await exact(page)


async def test_whoever_signs_out_ends_what_is_shown(chrome: Browser, fragile: Stack, fragile_tale: Tale) -> None:
    async with reading(chrome, fragile, fragile_tale) as visit:
        talk = visit.page.url
        account = await visit.context.new_page()
        await account.goto("/account")
        form = account.locator("form").filter(has=account.get_by_role("button", name="Make an account"))
        await form.get_by_label("E-mail").fill(f"reader-{random.randrange(10**9)}@example.com")
        await form.get_by_label("Password").fill("a light on the quay")
        await form.get_by_role("button", name="Make an account").click()
        await expect(account.get_by_role("heading", level=1, name="You are signed in")).to_be_visible()
        await account.goto(talk)  # the guest's talk has come along
        await expect(account.get_by_text("What did you see?")).to_be_visible()
        await account.goto("/account")
        await account.get_by_role("button", name="Sign out").click()
        await expect(account.get_by_role("heading", level=1, name="You are a guest")).to_be_visible()
        visit.allow(r"404 .*/api/conversations/")  # it is somebody else's now
        await expect(visit.page.locator("article")).to_have_count(0)

"""The app's pages, with something on each of them."""

import uuid
from typing import Any

from playwright.async_api import APIRequestContext, Page, expect

REPLY_SECONDS = 120
_QUESTION = "What did you feel when it happened? Tell me about that day."
# What says that something is still being fetched or written.
_BUSY = "main p.soft[role=status], [aria-busy=true]"


async def pages_of(api: APIRequestContext, novel_id: str = "") -> dict[str, str]:
    """Paths by the pages' names; the reader whose cookies these are begins a talk for them.

    Args:
        api: the gateway, as the reader's browser calls it.
        novel_id: the novel; empty: the first on the shelf.
    """
    novel = novel_id or (await _json(api.get("/api/novels")))["novels"][0]["novel_id"]
    character = (await _json(api.get(f"/api/novels/{novel}/characters")))["characters"][0]["character_id"]
    about = {"title": "Another way", "description": "What if it had happened on another day?"}
    scenario = await _json(api.post("/api/scenarios", data={"novel_id": novel, **about}))
    chosen = {"scenario_id": scenario["scenario_id"], "character_id": character, "request_id": uuid.uuid4().hex}
    talk = (await _json(api.post("/api/conversations", data=chosen)))["conversation_id"]
    seconds = REPLY_SECONDS * 1000
    await (await api.get(f"/api/conversations/{talk}/events", timeout=seconds)).body()
    asked = {"content": _QUESTION, "request_id": uuid.uuid4().hex}
    await (await api.post(f"/api/conversations/{talk}/messages-stream", data=asked, timeout=seconds)).body()
    return {
        "library": "/",
        "novel": f"/novels/{novel}",
        "new-scenario": f"/novels/{novel}/scenarios/new",
        "scenario": f"/scenarios/{scenario['scenario_id']}/edit",
        "conversations": "/conversations",
        "conversation": f"/conversations/{talk}",
        "account": "/account",
        "status": "/status",
        "nowhere": "/novels",
    }


async def opened(page: Page, path: str) -> None:
    """Goes to a page and waits until it has arrived, whatever it still fetches."""
    await page.goto(path)
    await expect(page.locator("main h1")).to_be_visible()
    await expect(page.locator(_BUSY)).to_have_count(0)
    await page.evaluate("document.fonts.ready.then(() => undefined)")


async def _json(answering: Any) -> Any:
    answer = await answering
    assert answer.ok, f"{answer.url}: {answer.status} {await answer.text()}"
    return await answer.json()

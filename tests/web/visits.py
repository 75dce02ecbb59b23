"""Visits to the web app: a browser's profile each, whose pages are watched for what must not happen."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, WebError, expect

SECONDS = 30.0
# Says what the policy has refused; with it every page has a report that fails the test.
_REPORT = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.effectiveDirective} refused ${event.blockedURI || event.sample}`);
});
"""
# Whoever comes for the first time is nobody, and is told so: Chromium writes that into its console.
_NOBODY = re.compile(r"401 .*(/api/users/me|/api/auth/refresh)$")
_AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
_AXE_RUN = """
async () => {
  const { violations } = await axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    resultTypes: ["violations"],
  });
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${target.join(" ")}: ${failureSummary}`));
}
"""

expect.set_options(timeout=SECONDS * 1000)


class Visit:
    """A reader's browser: cookies and storage of its own, one tab or several.

    Attributes:
        context: what the tabs share.
        page: the first tab.
        complaints: what went wrong on any page, and must not have.
    """

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.context = context
        self.page = page
        self.complaints: list[str] = []
        self._allowed = [_NOBODY]
        context.on("console", self._console)
        context.on("weberror", self._error)

    def allow(self, pattern: str) -> None:
        """Lets pages complain of what the test does to them."""
        self._allowed.append(re.compile(pattern))

    async def axe(self, page: Page | None = None) -> list[str]:
        """What axe finds wrong with a page as it stands, WCAG 2.2 AA and its own advice."""
        page = page or self.page
        session = await self.context.new_cdp_session(page)
        try:
            # Through the debugger: the page's policy lets no script in that is not the app's.
            await session.send("Runtime.evaluate", {"expression": _AXE.read_text(encoding="utf-8")})
            call = {"expression": f"({_AXE_RUN})()", "awaitPromise": True, "returnByValue": True}
            answer = await session.send("Runtime.evaluate", call)
        finally:
            await session.detach()
        assert "exceptionDetails" not in answer, answer
        found: list[str] = answer["result"]["value"]
        return found

    def _console(self, message: ConsoleMessage) -> None:
        # A release build of Vue warns of nothing; what is missing among the words is told by vue-i18n.
        if message.type == "error" or (message.type == "warning" and message.text.startswith("[")):
            self._complain(f"{message.text} {message.location.get('url', '')}")

    def _error(self, error: WebError) -> None:
        self._complain(str(error.error))

    def _complain(self, text: str) -> None:
        if not any(pattern.search(text) for pattern in self._allowed):
            self.complaints.append(text)


@asynccontextmanager
async def visiting(
    chrome: Browser,
    url: str,
    *,
    locale: str = "en-GB",
    colours: Literal["light", "dark"] = "light",
    width: int = 1280,
    height: int = 900,
    **more: Any,
) -> AsyncIterator[Visit]:
    """A visit to a site. It fails when a page has complained: an error, a refusal of the policy, a word on the console.

    Args:
        chrome: the browser.
        url: where ``/`` is.
        locale: the reader's language.
        colours: what the reader prefers.
        width, height: of the window.
        more: of `Browser.new_context`.
    """
    context = await chrome.new_context(
        base_url=url,
        locale=locale,
        color_scheme=colours,
        reduced_motion="reduce",  # what moves is looked at when it has arrived
        viewport={"width": width, "height": height},
        **more,
    )
    context.set_default_timeout(SECONDS * 1000)
    await context.add_init_script(_REPORT)
    visit = Visit(context, await context.new_page())
    try:
        yield visit
    finally:
        await context.close()
    assert not visit.complaints, "\n".join(visit.complaints)

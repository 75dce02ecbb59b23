"""Photographs each page of the app in a running stack, light and dark, on a desk and on a phone.

``tools/screenshots`` runs it.
"""

import asyncio
import os
from pathlib import Path

import click
from playwright.async_api import Browser, StorageState

from tests.fixtures.chromium import open_chrome, unpack_chromium
from tests.web.pages import opened, pages_of
from tests.web.visits import visiting

_ROOT = Path(__file__).parents[2]
WIDTHS = {"desk": (1280, 900), "phone": (390, 844)}


async def shoot(chrome: Browser, url: str, folder: Path, locale: str, only: set[str]) -> None:
    """Writes ``PAGE-COLOURS-WIDTH.png`` for each page; tells what pages have complained of."""
    async with visiting(chrome, url, locale=locale) as visit:
        await opened(visit.page, "/")
        pages = await pages_of(visit.context.request)
        state: StorageState = await visit.context.storage_state()
    for colours in ("light", "dark"):
        for name, (width, height) in WIDTHS.items():
            try:
                async with visiting(
                    chrome, url, locale=locale, colours=colours, width=width, height=height, storage_state=state
                ) as visit:
                    for page, path in pages.items():
                        if only and page not in only:
                            continue
                        await opened(visit.page, path)
                        file = folder / f"{page}-{colours}-{name}.png"
                        await visit.page.screenshot(path=file, full_page=True)
                        click.echo(file)
            except AssertionError as error:
                click.echo(f"  complaints, {colours}, {name}: {error}", err=True)


@click.command()
@click.option("--url", default=lambda: os.environ.get("GAJI_URL", "http://127.0.0.1:8080"), help="The gateway.")
@click.option("--locale", default="en-GB", show_default=True, help="The reader's language.")
@click.option("--folder", type=click.Path(path_type=Path), default=_ROOT / ".build" / "screenshots", help="Where to.")
@click.argument("only", nargs=-1, metavar="[PAGE]...")
def main(url: str, locale: str, folder: Path, only: tuple[str, ...]) -> None:
    """Photograph each page, or those that are named (library, novel, conversation, ...)."""
    folder.mkdir(parents=True, exist_ok=True)

    async def run() -> None:
        async with open_chrome(unpack_chromium()) as chrome:
            await shoot(chrome, url, folder, locale, set(only))

    asyncio.run(run())


if __name__ == "__main__":
    main()

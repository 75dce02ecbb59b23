"""What stands before several gateways: it asks each whether it is ready, and leads nobody to one that is not."""

import asyncio
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self, overload

from stack.probes import http_status

EVERY_SECONDS = 1.0
MISSES = 2


class Balancer(Sequence[str]):
    """URLs of gateways: those that are ready, or all of them when none is.

    As a load balancer's health checks do it: each is asked every second, and one that gave no good answer twice, which
    takes three seconds, or five where nothing comes back, is left out until it gives one.

    Args:
        gateways: the URLs of all.
    """

    def __init__(self, gateways: Sequence[str]) -> None:
        self._gateways = list(gateways)
        self._misses = dict.fromkeys(gateways, 0)

    async def __aenter__(self) -> Self:
        self._asking = [asyncio.create_task(self._ask(url)) for url in self._gateways]
        return self

    async def __aexit__(
        self, _t: type[BaseException] | None, _e: BaseException | None, _b: TracebackType | None
    ) -> None:
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    def __len__(self) -> int:
        return len(self._ready())

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._ready()[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ready())

    def _ready(self) -> list[str]:
        return [url for url in self._gateways if self._misses[url] < MISSES] or self._gateways

    async def _ask(self, url: str) -> None:
        while True:
            good = await http_status(url.removeprefix("http://"), "/ready") == 200
            self._misses[url] = 0 if good else self._misses[url] + 1
            await asyncio.sleep(EVERY_SECONDS)

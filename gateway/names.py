"""Something for each of the replicas behind a name, as replicas come and go."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Generic, Protocol, TypeVar

from mesh.names import Resolve
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

_LOOK_SECONDS = 2.0


class Replica(Protocol):
    """What is opened for an address."""

    @property
    def idle(self) -> bool:
        """Whether nothing runs on it."""
        ...


R = TypeVar("R", bound=Replica)
Opened = Callable[[str], AbstractAsyncContextManager[R]]
"""From an address to what is opened for it."""


class FollowedName(Generic[R]):
    """Has something open for each address behind a name.

    What is open for an address that is gone stays open while anything runs on it: a replica that stops lets its calls
    go by itself. A name that cannot be looked up changes nothing.

    Args:
        name: host and port.
        open_: opens it for an address.
        changed: is told what is open for the addresses there are now, whenever these are others.
        resolve: looks the name up.
    """

    def __init__(
        self, name: tuple[str, int], open_: Opened[R], changed: Callable[[Sequence[R]], None], resolve: Resolve
    ) -> None:
        self._name = name
        self._open = open_
        self._changed = changed
        self._resolve = resolve
        self._current: dict[str, tuple[R, AsyncExitStack]] = {}
        self._leaving: list[tuple[R, AsyncExitStack]] = []
        self._trouble = ""

    async def look(self) -> None:
        """Looks once."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                addresses = await self._resolve(*self._name)
        except OSError as error:
            said = str(error) or f"no answer within {_LOOK_SECONDS:g} s"
            if said != self._trouble:
                self._trouble = said
                log.warning("a name cannot be looked up", extra={"peer": self._name[0], "error": self._trouble})
            return
        self._trouble = ""
        gone = self._current.keys() - set(addresses)
        come = [address for address in addresses if address not in self._current]
        for address in gone:
            self._leaving.append(self._current.pop(address))
        for address in come:
            stack = AsyncExitStack()
            try:
                self._current[address] = await stack.enter_async_context(self._open(address)), stack
            except (OSError, ValueError) as error:  # e.g. certificates that are being replaced; tried again
                log.warning("a replica cannot be called", extra={"address": address, "error": str(error)})
        if gone or come:
            log.info("replicas", extra={"peer": self._name[0], "come": come, "gone": sorted(gone)})
            self._changed([replica for replica, _ in self._current.values()])
        for left in [left for left in self._leaving if left[0].idle]:
            self._leaving.remove(left)
            await left[1].aclose()

    async def close(self) -> None:
        """Closes everything."""
        for _, stack in [*self._current.values(), *self._leaving]:
            await stack.aclose()


@asynccontextmanager
async def following_name(followed: FollowedName[R], seconds: float) -> AsyncIterator[None]:
    """Looks now, and every so many seconds while the block lasts; then closes everything."""

    async def keep_looking() -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await followed.look()
            except Exception:  # whoever is not found now is found the next time
                log.exception("replicas behind a name cannot be followed")

    await followed.look()
    looking = asyncio.create_task(keep_looking(), name="replicas of a name")
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await followed.close()

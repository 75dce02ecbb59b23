"""RPCs that operators have switched off: by a setting, or by a file that is read again while it changes.

Any RPC of the contract can be, by its name: ``CreateGuest`` or ``AuthService/CreateGuest``. Rooms are not asked: it is
the door that is closed, and what goes on inside goes on.
"""

import asyncio
import difflib
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

import orjson

from gateway.app import Answer, Page
from gateway.bindings import Route
from gateway.config import GatewaySettings
from gateway.http import JSON
from mesh.errors import Unimplemented
from mesh.followed import FollowedFile, following
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

PATH = "/api/switches"
_COMMENT = re.compile(r"#[^\n]*")
_CACHED = (b"cache-control", b"no-cache")


class Switches:
    """What is off.

    Args:
        routes: of all that can be.
        off: names that are off for good.

    Raises:
        ValueError: a name is no RPC's, or is that of several.
    """

    def __init__(self, routes: Iterable[Route], off: str = "") -> None:
        self._names = _names_of(routes)
        self._fixed = self.parse(off)
        self._off = self._fixed

    @property
    def off(self) -> list[str]:
        """What is, as ``Service/Method``."""
        return sorted(self._off)

    def parse(self, text: str) -> frozenset[str]:
        """Reads names, separated by commas or lines; ``#`` begins a comment.

        Raises:
            ValueError: a name is no RPC's, or is that of several.
        """
        return frozenset(self._known(name) for name in re.split(r"[\s,]+", _COMMENT.sub("", text)) if name)

    def change(self, off: frozenset[str]) -> None:
        """From now on these are off, and those that are for good."""
        self._off = self._fixed | off
        log.info("switched", extra={"off": self.off})

    def check(self, route: Route) -> None:
        """Refuses what is off.

        Raises:
            Unimplemented: reason SWITCHED_OFF.
        """
        if self._off and (name := _name(route)) in self._off:
            text = f"{name} is switched off here for the time being; ask who runs this, or come back later"
            raise Unimplemented(text, reason="SWITCHED_OFF")

    def page(self) -> Page:
        """``{"off": ["AuthService/CreateGuest"]}``, for pages that would rather not show what is refused."""

        async def page() -> Answer:
            return Answer(200, orjson.dumps({"off": self.off}), JSON, [_CACHED])

        return page

    def _known(self, name: str) -> str:
        found = self._names.get(name.strip("/"), ())
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"{name} is the name of several RPCs: write one of {', '.join(found)}")
        like = difflib.get_close_matches(name, self._names, 1)
        raise ValueError(f"{name} is no RPC of the contract" + (f": is it {like[0]}?" if like else ""))


@asynccontextmanager
async def open_switches(settings: GatewaySettings, routes: Iterable[Route]) -> AsyncIterator[Switches]:
    """The switches of the settings, which follow their file until the block is left.

    Raises:
        OSError: the file cannot be read.
        ValueError: a name is no RPC's; it is said where it stands.
    """
    try:
        switches = Switches(routes, settings.off)
    except ValueError as error:
        raise ValueError(f"GAJI_OFF: {error}") from error
    if settings.off_file is None:
        yield switches
        return
    file = FollowedFile(settings.off_file, lambda data: switches.parse(data.decode()))
    switches.change(await asyncio.to_thread(file.load))
    async with following(file, switches.change, settings.off_poll_seconds):
        yield switches


def _name(route: Route) -> str:
    return f"{route.rpc.containing_service.name}/{route.rpc.name}"


def _names_of(routes: Iterable[Route]) -> Mapping[str, tuple[str, ...]]:
    """``Service/Method`` by that name, and by the method's alone."""
    names: dict[str, dict[str, None]] = {}
    for route in routes:
        whole = _name(route)
        for name in (whole, route.rpc.name):
            names.setdefault(name, {})[whole] = None
    return {name: tuple(wholes) for name, wholes in names.items()}

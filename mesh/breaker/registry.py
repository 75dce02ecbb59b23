"""The breakers of a process."""

import threading
import time
from collections.abc import Callable, Sequence
from weakref import WeakSet

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from mesh.breaker.groups import Grouping, is_watched
from mesh.breaker.machine import AnyPermit, Breaker
from mesh.breaker.permits import FREE, Permit
from mesh.breaker.settings import BreakerSettings
from mesh.breaker.state import Listener, State
from mesh.errors import NotFound

_new = object.__new__
REGISTRIES: "WeakSet[Breakers]" = WeakSet()
"""All that live in this process, for the metrics: one, but in tests."""


class Breakers:
    """One breaker for each peer and group of methods; one registry for each process.

    Args:
        settings: how they behave.
        clock: seconds that only grow.
    """

    def __init__(self, settings: BreakerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._listeners: list[Listener] = []
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self._lock = threading.Lock()
        REGISTRIES.add(self)

    def before(self, *services: ServiceDescriptor) -> "PeerGate":
        """What stands before all calls to the room that offers services; of package ``gaji.search.v1``: ``search``."""
        return self.gate(services[0].file.package.split(".")[1], services)

    def gate(self, peer: str, services: Sequence[ServiceDescriptor] = ()) -> "PeerGate":
        """What stands before all calls to a peer; all gates to it share their breakers.

        Args:
            peer: its name, e.g. ``search``.
            services: its services that will be called; their breakers are there from now on.
        """
        grouping = Grouping(services)
        for group in grouping.known:
            self.breaker(peer, group)
        return PeerGate(self, peer, grouping)

    def breaker(self, peer: str, group: str) -> Breaker:
        """The breaker of a group, made when first asked for."""
        key = peer, group
        with self._lock:
            found = self._breakers.get(key)
            if found is None:
                found = self._breakers[key] = Breaker(peer, group, self._settings, self._clock, self._listeners)
            return found

    def listen(self, listener: Listener) -> None:
        """Has all events of all breakers told to a listener, in the thread in which they happen."""
        self._listeners.append(listener)

    def matching(self, peer: str = "", group: str = "") -> list[Breaker]:
        """The breakers of a peer and a group (empty: of all), sorted by both."""
        with self._lock:
            keys = sorted(key for key in self._breakers if peer in {"", key[0]} and group in {"", key[1]})
            return [self._breakers[key] for key in keys]

    def force(self, state: State | None, peer: str = "", group: str = "") -> list[Breaker]:
        """Puts all that match into a state; None: into the one that the settings say.

        Raises:
            NotFound: there is none.
        """
        found = self.matching(peer, group)
        if not found:
            known = ", ".join(f"{breaker.peer} {breaker.group}" for breaker in self.matching()) or "none"
            wanted = " ".join(filter(None, (peer, group))) or "any peer"
            raise NotFound(f"no breaker for {wanted} here; there are: {known}", reason="NO_SUCH_BREAKER")
        for breaker in found:
            breaker.force(state)
        return found


class PeerGate:
    """The breakers before one peer: `mesh.gate.Gate`.

    Args:
        breakers: the process's.
        peer: the peer's name.
        grouping: which group a method is of.
    """

    __slots__ = ("_breakers", "_by_method", "_grouping", "_peer")

    def __init__(self, breakers: Breakers, peer: str, grouping: Grouping) -> None:
        self._breakers = breakers
        self._peer = peer
        self._grouping = grouping
        self._by_method: dict[str, Breaker] = {}

    def acquire(self, method: str) -> AnyPermit:
        """A permit for a call of a method, given by its path.

        Raises:
            Unavailable: the peer is to be left alone.
        """
        try:
            breaker = self._by_method[method]
        except KeyError:
            found = self._find(method)
            return FREE if found is None else found.acquire()
        era = breaker.era
        if not era.free:
            return breaker.acquire()
        permit = _new(Permit)  # without calling __init__, which would be a quarter of what the breaker costs a call
        permit.era = era
        return permit

    def observe(self, method: str, code: grpc.StatusCode, seconds: float) -> None:
        """Tells of a stream what came after its first message: that it broke, or stood still so many seconds (OK)."""
        breaker = self._by_method.get(method) or self._find(method)
        if breaker is not None:
            breaker.observe(code, seconds)

    def _find(self, method: str) -> Breaker | None:
        if not is_watched(method):
            return None
        breaker = self._breakers.breaker(self._peer, self._grouping.group(method))
        self._by_method[method] = breaker
        return breaker

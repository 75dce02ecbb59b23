"""Requests as clients send them, and who sends them."""

import random
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import httpx

from benchmarks.faults.availability.attempts import DEADLINES, RETRY_SECONDS, Failed, attempts, raise_unless_ok
from benchmarks.faults.availability.records import Record

_READY_CONVERSATIONS = 40
_CONNECT_SECONDS, _NEAR_SECONDS = 5.0, 2.0


@dataclass(slots=True)
class Guest:
    """A reader with a session.

    Attributes:
        token: the access token.
        scenario_id: the reader's own scenario.
        free: conversations that may be talked on, with how often that was done.
        known: one that has messages to be read; empty: there is none yet.
    """

    token: str
    scenario_id: str
    free: deque[tuple[str, int]] = field(default_factory=lambda: deque(maxlen=_READY_CONVERSATIONS))
    known: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """What is asked for: a novel with a character, and an account to log in to."""

    novel_id: str
    character_id: str
    email: str
    password: str


class Sender:
    """Sends requests to gateways in turn; one that refuses connections is passed over.

    Args:
        gateways: their URLs; may change.
        place: what is asked for.
        guests: who asks.
        chance: decides who and what.
        silence: seconds without a byte after which a connection counts as lost; None: any time.
    """

    def __init__(
        self,
        gateways: Sequence[str],
        place: Place,
        guests: Sequence[Guest],
        chance: random.Random,
        silence: float | None = None,
    ) -> None:
        self._gateways = gateways
        self._place = place
        self._guests = list(guests)
        self._chance = chance
        self._turn = 0
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(silence, connect=_CONNECT_SECONDS if silence is None else _NEAR_SECONDS),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
            trust_env=False,
            base_url=self._gateways[0],
        )
        self._http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # one client plays many readers

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    def guest(self) -> Guest:
        """Who asks next."""
        return self._chance.choice(self._guests)

    async def send(self, kind: str, guest: Guest, record: Record) -> None:
        """Sends one request other than a message, once more where it is refused for now, and records both."""
        method, path, body = self._asked(kind, guest)
        record.what = f"{method} {path.partition('?')[0].replace(self._place.novel_id, '{novel}')}"
        for given, name in ((guest.scenario_id, "{scenario}"), (guest.known, "{conversation}")):
            record.what = record.what.replace(given or name, name)

        async def one() -> None:
            answer = await self.request(method, path, guest, body)
            record.request_id = answer.headers.get("x-request-id", "")
            record.degraded = answer.headers.get("x-cache", "") == "stale"
            raise_unless_ok(answer)

        await attempts(one, record, DEADLINES[kind])

    def _asked(self, kind: str, guest: Guest) -> tuple[str, str, Any]:
        place, chance = self._place, self._chance
        if kind == "search":
            if chance.random() < 0.25:
                return "GET", f"/api/novels/{place.novel_id}/characters", None
            # Half of them were asked before, so that caches have something to do.
            number = chance.randrange(8) if chance.random() < 0.5 else chance.randrange(10**6)
            body = {"novel_id": place.novel_id, "query": f"what the light showed on night {number}", "top_k": 3}
            return "POST", "/api/search/passages", body
        if kind == "login":
            return "POST", "/api/auth/login", {"email": place.email, "password": place.password}
        if kind == "opening":
            whom = {"scenario_id": guest.scenario_id, "character_id": place.character_id}
            return "POST", "/api/conversations", {**whom, "request_id": uuid.uuid4().hex}
        paths = [
            "/api/novels",
            f"/api/novels/{place.novel_id}",
            f"/api/novels/{place.novel_id}/scenarios",
            f"/api/scenarios/{guest.scenario_id}",
            "/api/conversations?page_size=10",
        ]
        if guest.known:
            paths.append(f"/api/conversations/{guest.known}")
            paths.append(f"/api/conversations/{guest.known}/messages")
        return "GET", chance.choice(paths), None

    def opening_path(self, guest: Guest, request_id: str) -> str:
        """The path of a stream that begins a conversation."""
        return (
            f"/api/conversations/create-stream?scenario_id={guest.scenario_id}"
            f"&character_id={self._place.character_id}&request_id={request_id}"
        )

    def wants_opening(self) -> bool:
        """Whether the next message is an opening though there are conversations to go on with."""
        return self._chance.random() < 0.3

    async def request(self, method: str, path: str, guest: Guest, body: Any = None) -> httpx.Response:
        """One answer, whole.

        Raises:
            Failed: there is none.
        """
        request = self._http.build_request(method, path, json=body, headers=_headers(guest))
        response = await self.open(request)
        try:
            await response.aread()
        except httpx.HTTPError as error:
            raise Failed(type(error).__name__, RETRY_SECONDS) from None
        finally:
            await response.aclose()
        return response

    def build(self, path: str, guest: Guest, last_id: str) -> httpx.Request:
        """The request of a stream."""
        headers = {**_headers(guest), "accept": "text/event-stream"}
        if last_id:
            headers["last-event-id"] = last_id
        return self._http.build_request("GET", path, headers=headers)

    async def open(self, request: httpx.Request) -> httpx.Response:
        """The head of an answer from the next gateway that takes connections, as balancers do it.

        Raises:
            Failed: none does, or the connection broke.
        """
        self._turn += 1
        turn, target = self._turn, request.url.raw_path.decode()
        for number in range(len(self._gateways)):
            request.url = httpx.URL(self._gateways[(turn + number) % len(self._gateways)]).join(target)
            request.headers["host"] = request.url.netloc.decode()
            try:
                return await self._http.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
            except httpx.HTTPError as error:
                raise Failed(type(error).__name__, RETRY_SECONDS) from None
        raise Failed("ConnectError", RETRY_SECONDS)


def _headers(guest: Guest) -> dict[str, str]:
    return {"authorization": f"Bearer {guest.token}"}

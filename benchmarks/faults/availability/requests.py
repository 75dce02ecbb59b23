"""One request as a client sends it, and its answer as the client sees it."""

import asyncio
import random
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import quote

import httpx

from benchmarks.faults.availability.records import MESSAGE, Record
from benchmarks.faults.events import Blocks, Event

DEADLINES: Mapping[str, float] = {MESSAGE: 60.0, "search": 10.0, "read": 10.0, "login": 10.0, "opening": 10.0}
"""Seconds: those of the contract, but messages, which the contract gives 300 s, have a reader's patience."""
CUT_SECONDS = 6.0
"""After its deadline a request is cut off; long before that it counts as hung."""
_RETRY_SECONDS = 1.0
_RECONNECT_SECONDS = 2.0  # an EventSource's, as the gateway's `retry:` has it
_LONGEST_RETRY = 10.0
_AGAIN = {429, 502, 503, 504}
_ENDS = {"complete", "failed", "stopped"}
_TURNS = 3
_READY_CONVERSATIONS = 40


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


class Failed(Exception):  # noqa: N818 - an outcome, caught where it is recorded
    """A request was not answered as it should be.

    Args:
        outcome: in words.
        again: whether a client may try once more; the seconds until then.
    """

    def __init__(self, outcome: str, again: float | None = None) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.again = again


class Sender:
    """Sends requests to gateways in turn; one that refuses connections is passed over.

    Args:
        gateways: their URLs.
        place: what is asked for.
        guests: who asks.
        chance: decides who and what.
    """

    def __init__(self, gateways: Sequence[str], place: Place, guests: Sequence[Guest], chance: random.Random) -> None:
        self._gateways = list(gateways)
        self._place = place
        self._guests = list(guests)
        self._chance = chance
        self._turn = 0
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=5.0),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
            trust_env=False,
            base_url=self._gateways[0],
        )
        self._http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # one client plays many readers

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def send(self, kind: str, record: Record) -> None:
        """Sends one request, once more where it is refused for now, and records both."""
        guest = self._chance.choice(self._guests)
        if kind == MESSAGE:
            await _Message(self, guest, record).run()
        else:
            await self._plain(kind, guest, record)

    async def _plain(self, kind: str, guest: Guest, record: Record) -> None:
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
            raise Failed(type(error).__name__, _RETRY_SECONDS) from None
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
                raise Failed(type(error).__name__, _RETRY_SECONDS) from None
        raise Failed("ConnectError", _RETRY_SECONDS)


class _Message:
    """A message to a character, or the opening of a conversation, read to its end."""

    def __init__(self, sender: Sender, guest: Guest, record: Record) -> None:
        self._sender = sender
        self._guest = guest
        self._record = record
        self._last_id = ""
        self._conversation, self._turns = "", 0
        request_id = uuid.uuid4().hex
        if guest.free and not sender.wants_opening():
            self._conversation, self._turns = guest.free.popleft()
            content = quote("What did you see tonight?")
            query = f"content={content}&request_id={request_id}"
            self._path = f"/api/conversations/{self._conversation}/messages-stream?{query}"
            record.what = "messages-stream"
        else:
            self._path = sender.opening_path(guest, request_id)
            record.what = "create-stream"

    async def run(self) -> None:
        """Reads it, coming back as an EventSource does when the connection is lost or it is refused for now."""
        await attempts(self._one, self._record, DEADLINES[MESSAGE], times=20)
        if self._record.answered and self._conversation:
            self._guest.known = self._conversation
            if self._turns < _TURNS:
                self._guest.free.append((self._conversation, self._turns + 1))

    async def _one(self) -> None:
        response = await self._sender.open(self._sender.build(self._path, self._guest, self._last_id))
        self._record.request_id = response.headers.get("x-request-id", "")
        blocks = Blocks()
        try:
            if response.status_code != httpx.codes.OK:
                await response.aread()
                raise_unless_ok(response)
                raise Failed(f"{response.status_code} before an end")
            async for content in response.aiter_bytes():
                for event in blocks.feed(content):
                    if self._take(event):
                        return
        except httpx.HTTPError as error:
            raise Failed(f"stream broke: {type(error).__name__}", _RECONNECT_SECONDS) from None
        finally:
            await response.aclose()
        raise Failed("stream ended early", _RECONNECT_SECONDS)

    def _take(self, event: Event) -> bool:
        """Whether this is the end.

        Raises:
            Failed: it is not the one that was wanted.
        """
        self._last_id = event.id or self._last_id
        if event.name not in _ENDS:
            return False
        if event.name == "complete":
            self._conversation = event.data.get("conversation_id") or self._conversation
            self._record.degraded = bool(event.data.get("degraded"))
            return True
        said = event.data or {}
        transient = event.name == "failed" and not event.id and said.get("retryable")
        outcome = f"{event.name} {said.get('code', '')} {said.get('reason', '')}".rstrip()
        raise Failed(
            f"{outcome}{'' if event.id else ' (of the connection)'}", _RECONNECT_SECONDS if transient else None
        )


async def attempts(one: Callable[[], Awaitable[None]], record: Record, deadline: float, times: int = 2) -> None:
    """Tries until it is answered, refused for good, or over its time; the first try alone makes ``ok``."""
    record.began, record.deadline = time.monotonic(), deadline
    try:
        for _ in range(times):
            began = time.monotonic()
            failed: Failed | None = None
            try:
                async with asyncio.timeout(deadline + CUT_SECONDS):
                    await one()
            except Failed as error:
                failed = error
            except TimeoutError:
                failed = Failed(f"cut off {CUT_SECONDS:g} s after its deadline")
            now = time.monotonic()
            if record.seconds is None:
                record.seconds, record.ok = now - began, failed is None
                record.outcome = failed.outcome if failed else "200"
            record.kept, record.kept_seconds = failed is None, now - record.began
            if failed is None or failed.again is None or now + failed.again > record.began + deadline:
                return
            await asyncio.sleep(failed.again)
    finally:
        if record.seconds is None:  # the run ends
            record.seconds, record.outcome = time.monotonic() - record.began, "cut off by the run"


def raise_unless_ok(answer: httpx.Response) -> None:
    """Reads status and reason.

    Raises:
        Failed: it is a refusal.
    """
    if answer.is_success:
        return
    try:
        reason = answer.json()["error"]["reason"]
    except (ValueError, KeyError, TypeError):
        reason = answer.text[:60]
    again = None
    if answer.status_code in _AGAIN:
        given = answer.headers.get("retry-after", "")
        again = min(float(given), _LONGEST_RETRY) if given.isdecimal() else _RETRY_SECONDS
    raise Failed(f"{answer.status_code} {reason}".rstrip(), again)


def _headers(guest: Guest) -> dict[str, str]:
    return {"authorization": f"Bearer {guest.token}"}

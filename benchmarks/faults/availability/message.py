"""A message as a reader's browser sends and reads it."""

import uuid
from urllib.parse import quote

import httpx

from benchmarks.faults.availability.attempts import DEADLINES, Failed, attempts, raise_unless_ok
from benchmarks.faults.availability.records import MESSAGE, Record
from benchmarks.faults.availability.requests import Guest, Sender
from benchmarks.faults.events import Blocks, Event

_RECONNECT_SECONDS = 2.0  # an EventSource's, as the gateway's `retry:` has it
_ENDS = {"complete", "failed", "stopped"}
_TURNS = 3
_TRIES = 100  # more than fit into its time


class Message:
    """A message to a character, or the opening of a conversation, read to its end.

    Args:
        sender: sends its requests.
        guest: whose it is.
        record: of what becomes of it.
    """

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
        await attempts(self._one, self._record, DEADLINES[MESSAGE], times=_TRIES)
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
        transient = event.name == "failed" and said.get("retryable")
        if transient and event.id:
            self._last_id = ""  # it has ended; the same request has it written anew
        outcome = f"{event.name} {said.get('code', '')} {said.get('reason', '')}".rstrip()
        raise Failed(
            f"{outcome}{'' if event.id else ' (of the connection)'}", _RECONNECT_SECONDS if transient else None
        )

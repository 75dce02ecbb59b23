"""Server-sent events as they come off a socket that may break anywhere, and the text that they make."""

from dataclasses import dataclass
from typing import Any

import orjson


class Body:
    """An HTTP/1.1 chunked body in pieces (RFC 9112, section 7.1).

    Attributes:
        ended: whether its last chunk has come.
    """

    def __init__(self) -> None:
        self.ended = False
        self._buffer = b""
        self._left = 0

    def feed(self, data: bytes) -> bytes:
        """Takes bytes of the connection; gives those of the content."""
        self._buffer += data
        content = []
        while self._buffer and not self.ended:
            if self._left:
                part = self._buffer[: self._left]
                content.append(part)
                self._buffer = self._buffer[len(part) :]
                self._left -= len(part)
                continue
            line, found, rest = self._buffer.removeprefix(b"\r\n").partition(b"\r\n")
            if not found:
                break
            self._left, self._buffer = int(line, 16), rest
            self.ended = self._left == 0
        return b"".join(content)


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event; one without data is not dispatched, but its `id` and `retry` count."""

    name: str
    id: str
    data: Any
    retry_ms: int | None = None


class Blocks:
    """Events out of a stream's content, as the HTML standard has it; what is not whole when it breaks is dropped."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, content: bytes) -> list[Event]:
        """Takes content; gives the events that are whole with it."""
        *blocks, self._buffer = (self._buffer + content).split(b"\n\n")
        return [_event(block) for block in blocks if block.strip()]


def _event(block: bytes) -> Event:
    fields = dict(line.partition(b": ")[::2] for line in block.strip().split(b"\n") if not line.startswith(b":"))
    retry = fields.get(b"retry")
    return Event(
        fields.get(b"event", b"message").decode(),
        fields.get(b"id", b"").decode(),
        orjson.loads(fields[b"data"]) if b"data" in fields else None,
        int(retry) if retry else None,
    )


class Text:
    """What a reader has of a reply.

    Attributes:
        seams: how often the text went on from an earlier place.
        gaps: how often events were no longer kept.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self.seams = self.gaps = 0

    def __str__(self) -> str:
        return "".join(self._parts)

    def take(self, event: Event) -> None:
        """Follows an event."""
        if event.name == "token":
            self._parts.append(event.data["content"])
        elif event.name == "seam":
            self._parts = [str(self)[: event.data["keep"]]]
            self.seams += 1
        elif event.name == "gap":
            self.gaps += 1

    def forget(self) -> None:
        """The stream begins anew."""
        self._parts = []

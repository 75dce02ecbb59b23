"""Server-sent events, read (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream)."""

import re

# Only these end a line; `bytes.splitlines` also cuts at others, which JSON may hold as they are.
_LINE_END = re.compile(rb"\r\n|\n|\r")
_LONGEST = 1_048_576
_BOM = b"\xef\xbb\xbf"


class EventData:
    """The data of each event of a stream; what it is named is not looked at."""

    def __init__(self) -> None:
        self._pending = b""
        self._data: list[bytes] = []
        self._begun = False

    def feed(self, received: bytes) -> list[bytes]:
        """The data of the events that some bytes complete.

        Raises:
            ValueError: an event of more than 1 MiB.
        """
        if not self._pending and not self._data and self._begun:
            # As nearly all comes: one event of one line, or some; they need no look at every line.
            if received.startswith(b"data: ") and received.endswith(b"\n\n") and received.count(b"\n") == 2:
                return [received[6:-2]] if b"\r" not in received else self._lines(received)
            whole = received.removesuffix(b"\n\n")
            if len(whole) < len(received) and b"\r" not in whole:
                blocks = whole.split(b"\n\n")
                if all(block.startswith(b"data: ") and b"\n" not in block for block in blocks):
                    return [block[6:] for block in blocks]
        return self._lines(received)

    def _lines(self, received: bytes) -> list[bytes]:
        pending = self._pending + received
        if not self._begun:
            if len(pending) < len(_BOM) and _BOM.startswith(pending):
                self._pending = pending
                return []
            pending, self._begun = pending.removeprefix(_BOM), True
        # A CR at the end may be the first half of a CRLF.
        held = b"\r" if pending.endswith(b"\r") else b""
        *lines, pending = _LINE_END.split(pending.removesuffix(b"\r"))
        self._pending = pending + held
        events = []
        for line in lines:
            if not line:
                if self._data:
                    events.append(b"\n".join(self._data))
                self._data = []
            elif line == b"data" or line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
        if len(self._pending) + sum(map(len, self._data)) > _LONGEST:
            raise ValueError("an event is too long")
        return events

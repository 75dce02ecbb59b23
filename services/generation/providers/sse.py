"""Server-sent events, read (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream)."""

import codecs
import re
from collections.abc import AsyncGenerator, AsyncIterator

# Only these end a line; `str.splitlines` also cuts at U+2028 and others, which JSON may hold as they are.
_LINE_END = re.compile(r"\r\n|\n|\r")
_LONGEST = 1_048_576


async def event_data(stream: AsyncIterator[bytes]) -> AsyncGenerator[str, None]:
    """The data of each event of a stream; what it is named is not looked at.

    Raises:
        ValueError: an event of more than 1 MiB, or bytes that are no UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    pending, data = "", list[str]()
    async for received in stream:
        pending += decoder.decode(received)
        # A CR at the end may be the first half of a CRLF.
        held = "\r" if pending.endswith("\r") else ""
        *lines, pending = _LINE_END.split(pending.removesuffix("\r"))
        pending += held
        for line in lines:
            if not line:
                if data:
                    yield "\n".join(data)
                data = []
            elif line == "data" or line.startswith("data:"):
                data.append(line[5:].removeprefix(" "))
        if len(pending) + sum(map(len, data)) > _LONGEST:
            raise ValueError("an event is too long")

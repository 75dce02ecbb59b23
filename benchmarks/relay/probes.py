"""Readers who come one after the other and wait for a first token that bears the time at which it was made.

Usage: python -m benchmarks.relay.probes PORT COUNT, with a token in `READER`; prints JSON. `time.monotonic_ns` is one
clock for all processes.
"""

import asyncio
import json
import os
import re
import sys
import time

import uvloop

from benchmarks.relay.load import Load, request_for

READER = "BENCH_READER"
"""The variable of the environment that holds the readers' token."""
PAUSE_SECONDS = 0.02
_PROBING_SECONDS = 15.0  # where a gateway is overloaded a first token takes long: then fewer are asked for
_STAMP = re.compile(rb'"content": ?"(\d+)"')


class Probe(asyncio.Protocol):
    """One connection that waits for a stamped token.

    Attributes:
        seconds: from the request to the token's making, and from there to its coming.
    """

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._seen = b""
        self.seconds: asyncio.Future[tuple[float, float]] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP gives no other
        """Sends the request."""
        self._transport = transport
        self._sent = time.monotonic_ns()
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Looks for the stamp."""
        now = time.monotonic_ns()
        self._seen += data
        if not self.seconds.done() and (found := _STAMP.search(self._seen)):
            made = int(found.group(1))
            self.seconds.set_result(((made - self._sent) / 1e9, (now - made) / 1e9))
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has what it came for, or never will."""
        if not self.seconds.done():
            self.seconds.set_exception(RuntimeError("no stamped token came"))


async def first_tokens(port: int, token: str, count: int) -> list[tuple[float, float]]:
    """Seconds to the making of a first token, and from there to its coming."""
    request = request_for(Load("probe", 1, 1, 0, stamped=True), token)
    loop = asyncio.get_running_loop()
    found: list[tuple[float, float]] = []
    until = time.monotonic() + _PROBING_SECONDS
    async with asyncio.timeout(120):
        while len(found) < count and not (found and time.monotonic() >= until):
            _, probe = await loop.create_connection(lambda: Probe(request), "127.0.0.1", port)
            found.append(await probe.seconds)
            await asyncio.sleep(PAUSE_SECONDS)
    return found


def main() -> None:
    """Asks and prints."""
    print(json.dumps(uvloop.run(first_tokens(int(sys.argv[1]), os.environ[READER], int(sys.argv[2])))))


if __name__ == "__main__":
    main()

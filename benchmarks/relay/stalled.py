"""One reader of two hundred stops reading: what the others on the same relay stream notice of it.

Usage: python -m benchmarks.relay.stalled [--rounds N] [--json FILE]. Loopback only; ends by itself in about half a
minute.
"""

import asyncio
import contextlib
import socket
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from benchmarks.relay.load import Load, Reader, request_for
from benchmarks.relay.running import OURS, running
from benchmarks.results import Results, Spread, machine, options, percentile, turns
from benchmarks.tokens import key_pair, sign

OTHERS = Load("the others", 199, 150, 20)
LARGE = Load("large", 1, 60_000, 0)
"""About 6 MB, more than all buffers on the way."""
BESIDE = {"nobody": False, "one who takes nothing of 6 MB": True}


class Timed(Reader):
    """A reader that notes its longest wait between two arrivals."""

    longest = 0.0
    _last = 0.0

    def data_received(self, data: bytes) -> None:
        """Counts, and looks at the clock."""
        now = time.perf_counter()
        if self._last:
            self.longest = max(self.longest, now - self._last)
        self._last = now
        super().data_received(data)


async def one_round(port: int, token: str, *, stalled: bool) -> list[float]:
    """The longest waits of the others in milliseconds, beside a reader that takes nothing or without one."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        if stalled:
            lazy = stack.enter_context(socket.socket())
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            lazy.setblocking(False)
            await loop.sock_connect(lazy, ("127.0.0.1", port))
            await loop.sock_sendall(lazy, request_for(LARGE, token))
            await asyncio.sleep(1)  # until everything on the way is full
        request = request_for(OTHERS, token)
        opening = (loop.create_connection(lambda: Timed(request), "127.0.0.1", port) for _ in range(OTHERS.streams))
        readers = [reader for _, reader in await asyncio.gather(*opening)]
        async with asyncio.timeout(60):
            await asyncio.gather(*(reader.ended for reader in readers))
        missing = [reader.events for reader in readers if reader.events != OTHERS.tokens + 1]
        if missing:
            raise RuntimeError(f"events are missing: {missing}")
        return [reader.longest * 1000 for reader in readers]


async def measure(rounds: int) -> dict[str, list[list[float]]]:
    """Rounds without and with a reader that takes nothing, in turn: the waits of each."""
    waits: dict[str, list[list[float]]] = {name: [] for name in BESIDE}
    async with contextlib.AsyncExitStack() as stack:
        work = Path(stack.enter_context(TemporaryDirectory()))
        private, public = key_pair(work)
        token = sign(private)
        port = (await stack.enter_async_context(running(public, work, only=OURS)))[OURS].port
        await one_round(port, token, stalled=False)  # warm-up
        for _, beside in turns(BESIDE, rounds, warm_up=0):
            waits[beside].append(await one_round(port, token, stalled=BESIDE[beside]))
    return waits


def main() -> None:
    """Measures and prints."""
    parser = options(__doc__ or "", rounds=3)
    arguments = parser.parse_args()
    results = Results("stalled", machine("uvicorn"))
    rounds = 1 if arguments.quick else arguments.rounds
    waits = uvloop.run(measure(rounds))
    rows = [
        (
            beside,
            Spread.of([percentile(one, 50) for one in each]).text(0, "ms"),
            Spread.of([max(one) for one in each]).text(0, "ms"),
        )
        for beside, each in waits.items()
    ]
    title = f"the longest wait of each of 199 readers of 50 tokens a second, on one relay stream; {rounds} rounds"
    results.table(title, ("beside them", "median", "longest of all"), rows)
    results.raw["longest_wait_ms"] = waits
    results.finish(arguments.json)


if __name__ == "__main__":
    main()

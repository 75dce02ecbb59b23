"""Has files read in processes of their own, a few at a time.

Not in a thread: what parses may hold the interpreter for as long as one call of a C library takes, and can't be
stopped; a process can, takes its memory with it, and knows no secret that a fault in a parser could give away.
"""

import asyncio
import math
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import orjson

from mesh.errors import Internal, InvalidArgument
from mesh.telemetry.histogram import Histogram
from mesh.telemetry.logs import get_logger
from mesh.telemetry.metrics import REGISTRY
from services.library.intake.book import Book

log = get_logger(__name__)

AT_ONCE = 2
_COMMAND = (sys.executable, "-m", "services.library.intake")
_SECONDS = Histogram(
    "gaji_intake_seconds",
    "From a file's bytes to its text, by outcome.",
    ["outcome"],
    buckets=(0.1, 0.2, 0.5, 1, 2, 5, 10, 20),
    registry=REGISTRY,
)


class Converter:
    """Reads files.

    Args:
        pool: whose threads wait for the processes.
        seconds: how long one file may take.
    """

    def __init__(self, pool: ThreadPoolExecutor, seconds: float) -> None:
        self._pool = pool
        self._seconds = seconds
        self._readers: set[subprocess.Popen[bytes]] = set()

    def stop(self) -> None:
        """Ends the processes that read."""
        for reader in list(self._readers):
            reader.kill()

    async def read(self, data: bytes, file_name: str) -> Book:
        """The novel in a file.

        Args:
            data: the file.
            file_name: its name; may be empty.

        Raises:
            InvalidArgument: there is no novel in it that can be read, or it takes too long; names the field ``file``.
            Internal: the process that reads broke.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        outcome = "broken"
        try:
            answer = await loop.run_in_executor(self._pool, self._answer, data, file_name)
            if problem := answer.pop("problem", ""):
                outcome = "refused"
                raise refused(problem)
            outcome = "read"
            return Book(**answer)
        finally:
            _SECONDS.labels(outcome).observe(loop.time() - began)

    def _answer(self, data: bytes, file_name: str) -> dict[str, str]:
        header = {"file_name": file_name, "seconds": math.ceil(self._seconds)}
        # Nothing of this process's environment, where secrets are, but where Python finds its modules.
        environment = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PATH": os.defpath}
        reader = subprocess.Popen(  # noqa: S603 - our own module; the name of the file is no argument
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd="/",
        )
        self._readers.add(reader)
        try:
            out, err = reader.communicate(b"%b\n%b" % (orjson.dumps(header), data), timeout=self._seconds)
        except subprocess.TimeoutExpired:
            return {"problem": f"takes longer than {self._seconds:g} s to read; give the plain text"}
        finally:
            self._readers.discard(reader)
            reader.kill()  # does nothing to one that has ended
            reader.communicate()
        if reader.returncode == 0:
            answer: dict[str, str] = orjson.loads(out)
            return answer
        if reader.returncode < 0:  # by a signal: out of time or memory, or a fault in a parser, for which it is there
            log.warning("a file ended its reader", extra={"signal": -reader.returncode, "bytes": len(data)})
            return {"problem": "cannot be read, it breaks what reads it; give the plain text"}
        log.error("a file's reader failed", extra={"error": err[-2000:].decode(errors="replace")})
        raise Internal("the file could not be read, by a fault of ours; the request id is in the logs")


def refused(problem: str) -> InvalidArgument:
    """The refusal of a file."""
    return InvalidArgument(f"file {problem}", reason="UNREADABLE_FILE", fields={"file": problem})


@asynccontextmanager
async def open_converter(seconds: float) -> AsyncIterator[Converter]:
    """A converter; leaving stops what it reads.

    Args:
        seconds: how long one file may take.
    """
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="intake")
    converter = Converter(pool, seconds)
    try:
        yield converter
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        converter.stop()

"""A stream over a call of its own, where there is no relay."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

from mesh.errors import Internal, MeshError, translated
from mesh.relay import Sink
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

WINDOW = 64 * 1024
"""How many bytes may wait for the reader before no more are read."""


class PlainStream:
    """One gRPC call for one reader, whose messages are formatted here.

    Events that come within a window after a block travel together in the next one; the first never waits.

    Args:
        call: the running call.
        frame: formats a serialized message.
        room: whom it is to.
        sink: hears of its output and its end.
        merge_seconds: the window.
    """

    def __init__(
        self, call: Any, frame: Callable[[bytes], bytes], room: str, sink: Sink, *, merge_seconds: float
    ) -> None:
        self._call = call
        self._frame = frame
        self._room = room
        self._sink = sink
        self._merge_seconds = merge_seconds
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._waiting = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._space = asyncio.Event()
        self._cancelled = False
        self._task = self._loop.create_task(self._run())

    def taken(self, count: int) -> None:
        """The reader has taken so many bytes."""
        self._waiting -= count
        if self._waiting < WINDOW:
            self._space.set()

    def cancel(self) -> None:
        """Ends the call."""
        self._cancelled = True
        if self._timer is not None:
            self._timer.cancel()
        self._call.cancel()
        self._task.cancel()

    async def _run(self) -> None:
        error: MeshError | None = None
        try:
            with translated(self._room):
                await self._read()
        except MeshError as failed:
            error = failed
        except Exception:
            log.exception("a stream broke", extra={"room": self._room})
            error = Internal("something went wrong on our side; the request id is in the logs")
        if not self._cancelled:
            self._pass_on()
            self._sink.end(error)

    async def _read(self) -> None:
        read, frame = self._call.read, self._frame
        while (raw := await read()) is not grpc.aio.EOF:
            block = frame(raw)
            if not block:
                continue
            self._parts.append(block)
            self._waiting += len(block)
            if self._timer is None:
                if self._loop.time() >= self._due:
                    self._pass_on()
                else:
                    self._timer = self._loop.call_at(self._due, self._pass_on)
            while self._waiting >= WINDOW:
                self._space.clear()
                await self._space.wait()

    def _pass_on(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._parts:
            return
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._due = self._loop.time() + self._merge_seconds
        if self._sink.data(data):
            self._waiting -= len(data)
            self._space.set()

"""The service of probe.proto on a real mesh server; its messages come from descriptors, without generated code."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf import message_factory

from gateway.contract import Contract
from mesh import deadlines, errors, identity
from mesh.config import MeshSettings
from mesh.server import MeshServer, Service, open_server
from mesh.telemetry import trace

SERVICE = "gaji.probe.v1.ProbeService"


class Probe:
    """What the service does, and what the tests ask about it."""

    def __init__(self, contract: Contract) -> None:
        self._pool = contract.pool
        self.descriptor = contract.pool.FindServiceByName(SERVICE)
        self.streams = 0
        self.calls = 0
        self.trouble: errors.MeshError | None = None
        self.seen: list[Any] = []
        self.watchers: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def message(self, name: str, /, **fields: Any) -> Any:
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(f"gaji.probe.v1.{name}"))(**fields)

    async def Echo(self, request: Any, context: Any) -> Any:
        self.seen.append(request)
        return request

    async def Remove(self, request: Any, context: Any) -> Any:
        self.seen.append(request)
        return self.message("Nothing")

    async def Enter(self, request: Any, context: Any) -> Any:
        return self.message("Nothing")

    async def Cost(self, request: Any, context: Any) -> Any:
        return self.message("Nothing")

    async def Fail(self, request: Any, context: Any) -> Any:
        if not request.code:
            await asyncio.sleep(30)
        raise failure(request.code)

    async def WhoAmI(self, request: Any, context: Any) -> Any:
        return self._who(identity.require().user_id)

    async def WhoIfAnybody(self, request: Any, context: Any) -> Any:
        reader = identity.current()
        return self._who(reader.user_id if reader else "nobody")

    async def CountCalls(self, request: Any, context: Any) -> Any:
        self.calls += 1
        times = self.calls
        await self.gate.wait()
        if request.name == "fail":
            raise errors.Unavailable("out of order")
        return self.message("Called", times=times)

    async def Recall(self, request: Any, context: Any) -> Any:
        self.calls += 1
        times = self.calls
        await self.gate.wait()
        if self.trouble is not None:
            raise self.trouble
        return self.message("Called", times=times)

    async def OpenSession(self, request: Any, context: Any) -> Any:
        session = {"access_token": "abc.def-_", "expires_in": 900, "refresh_token": f"after-{request.refresh_token}"}
        return self.message("OpenSessionResponse", session=session)

    async def CloseSession(self, request: Any, context: Any) -> Any:
        return self.message("Named", name=request.refresh_token)

    async def Measure(self, request: Any, context: Any) -> Any:
        return self.message("Called", times=len(request.name))

    async def Weigh(self, request: Any, context: Any) -> Any:
        return self.message("WeighResponse", name=request.name, size=len(request.data))

    async def Count(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.streams += 1
        try:
            await asyncio.sleep(request.wait_ms / 1000)
            for number in range(1, request.to + 1):
                content = f"{number}" + "x" * request.padding
                yield self.message("CountResponse", sequence=number, token={"content": content})
                if request.interval_ms:
                    await asyncio.sleep(request.interval_ms / 1000)
            if request.fail_with:
                raise failure(request.fail_with)
            yield self.message("CountResponse", sequence=request.to + 1, complete={"name": "end", "size": request.to})
        finally:
            self.streams -= 1

    CountPrivately = Count
    CountShortly = Count

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.seen.append(request)
        reader = identity.current()
        self.watchers.append(reader.user_id if reader else "nobody")
        done = place_of(request.after) if request.after else 0
        self.streams += 1
        try:
            await self.gate.wait()
            await asyncio.sleep(request.wait_ms / 1000)
            for number in range(done + 1, request.to + 1):
                content = f"{number}" + "x" * request.padding
                yield self.message("WatchResponse", sequence=number, token={"content": content}, cursor=cursor(number))
                if request.unmarked and number % request.unmarked == 0:
                    yield self.message("WatchResponse", sequence=number, progress={"progress": 50, "stage": "probe"})
                if request.interval_ms:
                    await asyncio.sleep(request.interval_ms / 1000)
            if request.fail_with:
                raise failure(request.fail_with, request.reason or "PROBE")
            if done <= request.to:
                end = {"name": "end", "size": request.to}
                yield self.message("WatchResponse", sequence=1, complete=end, cursor=cursor(request.to + 1))
        finally:
            self.streams -= 1

    async def CountOnce(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.seen.append(request)
        await asyncio.sleep(request.wait_ms / 1000)
        yield self.message("CountResponse", sequence=1, token={"content": request.key})
        await self.gate.wait()

    async def Make(self, request: Any, context: Any) -> Any:
        self.seen.append(request)
        await self.gate.wait()
        await asyncio.sleep(request.wait_ms / 1000)
        return request

    async def Export(self, request: Any, context: Any) -> Any:
        file = {"content_type": request.content_type, "data": request.text.encode()}
        return self.message("ExportResponse", file=file)

    def _who(self, user_id: str) -> Any:
        context = trace.current()
        assert context is not None
        return self.message(
            "Who", user_id=user_id, request_id=context.request_id, has_deadline=deadlines.remaining() is not None
        )


def cursor(number: int) -> str:
    """The place after a number."""
    return f"c0ffee.1.{number}"


def place_of(text: str) -> int:
    """The number of a cursor."""
    stream, _, rest = text.partition(".")
    number = rest.rpartition(".")[2]
    if stream != "c0ffee" or not number.isdigit():
        raise errors.InvalidArgument("no cursor of this stream", reason="INVALID_FIELD", fields={"after": "is none"})
    return int(number)


def failure(code: int, reason: str = "PROBE") -> errors.MeshError:
    """An error of a code, with all details."""
    kind = next(kind for known, kind in errors.BY_CODE.items() if known.value[0] == code)
    return kind("it went wrong", reason=reason, fields={"code": "is bad"}, retry_after=1.2 if code == 8 else None)


def add_probe(probe: Probe, server: grpc.aio.Server) -> None:
    """What a generated ``add_ProbeServiceServicer_to_server`` would do."""
    handlers = {}
    for method in probe.descriptor.methods:
        make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        request = message_factory.GetMessageClass(method.input_type)
        response = message_factory.GetMessageClass(method.output_type)
        handlers[method.name] = make(getattr(probe, method.name), request.FromString, response.SerializeToString)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


@asynccontextmanager
async def open_probe(probe: Probe, settings: MeshSettings) -> AsyncIterator[MeshServer]:
    """Serves."""
    async with open_server(settings, [Service(probe.descriptor, probe, add_probe)], name="probe") as server:
        yield server

"""How a gateway hears of sessions that ended, from whatever library there is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from gaji.library.v1 import auth_service_pb2 as pb
from gaji.library.v1 import auth_service_pb2_grpc as rpc
from google.protobuf.timestamp_pb2 import Timestamp

from gateway import revocations as module
from gateway.revocations import Revocations, open_revocations
from gateway.upstreams import Upstream
from mesh.client import open_channel
from mesh.config import MeshSettings
from mesh.errors import Unavailable
from mesh.server import Service, open_server

AUTH = pb.DESCRIPTOR.services_by_name["AuthService"]
NOW = 1_000_000


@dataclass
class Ended(rpc.AuthServiceServicer):
    """A library that lists what a test says, two to a page."""

    sessions: list[tuple[str, int]] = field(default_factory=list)
    asked: list[pb.ListRevocationsRequest] = field(default_factory=list)
    down: bool = False

    async def ListRevocations(self, request: pb.ListRevocationsRequest, context: Any) -> pb.ListRevocationsResponse:  # noqa: N802 - the contract's name
        if self.down:
            raise Unavailable("no database")
        self.asked.append(request)
        begin = int(request.page_token or 0)
        page = self.sessions[begin : begin + 2]
        more = begin + 2 < len(self.sessions)
        return pb.ListRevocationsResponse(
            revocations=[pb.Revocation(session_id=sid, expire_time=Timestamp(seconds=ends)) for sid, ends in page],
            next_page_token=str(begin + 2) if more else "",
            as_of=Timestamp(seconds=NOW + len(self.asked)),
        )


def ended(sessions: list[tuple[str, int]]) -> Ended:
    return Ended(sessions)  # type: ignore[abstract]  # the rest stays unimplemented


@asynccontextmanager
async def upstream_of(servicer: Any, settings: MeshSettings) -> AsyncIterator[Upstream]:
    service = Service(AUTH, servicer, rpc.add_AuthServiceServicer_to_server)
    without_retries = settings.model_copy(update={"retries": False})
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(open_server(without_retries, [service], name="library"))
        channel = await stack.enter_async_context(open_channel(server.address, without_retries, [AUTH]))
        yield Upstream("library", channel, None, 0)


async def test_pages_are_read_and_then_only_the_news(mesh_settings: MeshSettings) -> None:
    library = ended([(f"s{number}", NOW + 900) for number in range(5)])
    async with upstream_of(library, mesh_settings) as upstream:
        revocations = Revocations(upstream, lambda: NOW)
        await revocations.look()
        assert all(f"s{number}" in revocations for number in range(5))
        assert "s5" not in revocations
        assert "" not in revocations
        assert [request.HasField("since") for request in library.asked] == [False] * 3
        library.sessions = [("s9", NOW + 900)]
        await revocations.look()
        assert library.asked[-1].since == Timestamp(seconds=NOW + 1), "since the beginning of the listing before"
        assert "s9" in revocations
        assert "s0" in revocations


async def test_what_has_expired_is_forgotten(mesh_settings: MeshSettings) -> None:
    now = NOW
    library = ended([("early", NOW + 10), ("late", NOW + 900)])
    async with upstream_of(library, mesh_settings) as upstream:
        revocations = Revocations(upstream, lambda: now)
        await revocations.look()
        library.sessions, now = [], NOW + 10
        await revocations.look()
        assert ("early" in revocations, "late" in revocations, len(revocations)) == (False, True, 1)


async def test_memory_is_bounded(mesh_settings: MeshSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    library = ended([(f"s{number}", NOW + 900) for number in range(6)])
    async with upstream_of(library, mesh_settings) as upstream:
        revocations = Revocations(upstream, lambda: NOW)
        await revocations.look()
        assert len(revocations) == 3
        assert "s5" in revocations, "the latest are kept"


async def test_the_last_list_stands_while_library_is_down(
    mesh_settings: MeshSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    now = float(NOW)
    library = ended([("s", NOW + 900)])
    async with upstream_of(library, mesh_settings) as upstream:
        revocations = Revocations(upstream, lambda: now)
        await revocations.look()
        library.down, now = True, NOW + 30.0
        for _ in range(3):
            await revocations.look()
        assert "s" in revocations
        assert revocations.age == 30
        assert caplog.text.count("not heard of") == 1, "said once"
        library.down = False
        await revocations.look()
        assert revocations.age == 0
        assert "heard of again" in caplog.text


async def test_a_library_of_the_release_before_is_borne(mesh_settings: MeshSettings) -> None:
    before = rpc.AuthServiceServicer()  # type: ignore[abstract]  # all of it stays unimplemented
    async with (
        upstream_of(before, mesh_settings) as upstream,
        open_revocations(upstream, 0.01) as revocations,
    ):
        await asyncio.sleep(0.1)
        assert len(revocations) == 0


async def test_it_goes_on_asking(mesh_settings: MeshSettings) -> None:
    library = ended([])
    async with upstream_of(library, mesh_settings) as upstream, open_revocations(upstream, 0.01) as revocations:
        async with asyncio.timeout(20):
            while len(library.asked) < 3:
                await asyncio.sleep(0.01)
            library.sessions = [("s", 2**33)]
            while "s" not in revocations:
                await asyncio.sleep(0.01)


async def test_an_answer_that_nobody_can_read_does_not_end_the_looking(
    mesh_settings: MeshSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    library = ended([("s1", NOW + 900)])
    async with upstream_of(library, mesh_settings) as upstream:
        read, answers = upstream.unary, iter([b"\xff"])

        async def unary(*arguments: Any, **more: Any) -> bytes:
            return next(answers, None) or await read(*arguments, **more)

        monkeypatch.setattr(upstream, "unary", unary)
        monkeypatch.setattr(Revocations, "_forget", lambda _self: None)  # its clock is the real one
        async with open_revocations(upstream, 0.01) as revocations, asyncio.timeout(20):
            while "s1" not in revocations:
                await asyncio.sleep(0.01)
    assert "revoked sessions are not heard of" in caplog.text

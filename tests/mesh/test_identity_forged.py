"""Forged tokens, at a service's own port."""

import asyncio
import time
from typing import Any

import grpc
import pytest
from gaji.cache.v1 import cache_service_pb2 as pb

from mesh import errors, identity
from tests.fixtures.forged import FORGED, READER, signed
from tests.fixtures.servers import JwtKeys
from tests.mesh.conftest import Serve


async def who(request: pb.LookupRequest) -> pb.LookupResponse:
    caller = identity.current()
    return pb.LookupResponse(hit=pb.Hit(value=caller.user_id.encode() if caller else b""))


async def refusal(stub: Any, token: str) -> errors.MeshError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Lookup(pb.LookupRequest(key="k"), metadata=[("authorization", f"Bearer {token}")])
    return errors.from_rpc_error(caught.value)


async def test_no_forged_token_is_taken(serve: Serve, jwt_keys: JwtKeys) -> None:
    fetched: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fetched.append(await reader.read(100))
        writer.close()

    listener = await asyncio.start_server(note, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/keys"
    async with listener, serve(lookup=who) as (_, stub):
        for name, (reason, forge) in FORGED.items():
            token = await asyncio.to_thread(forge, jwt_keys, url)
            error = await refusal(stub, token)
            assert (name, type(error), error.reason) == (name, errors.Unauthenticated, reason)
        good = await asyncio.to_thread(signed, jwt_keys.private)
        answer = await stub.Lookup(pb.LookupRequest(key="k"), metadata=[("authorization", f"Bearer {good}")])
        assert answer.hit.value == READER.encode(), "what is right is taken all the same"
    assert not fetched, "nobody goes where a token says"


async def test_metadata_without_end_is_refused(serve: Serve) -> None:
    async with serve(lookup=who) as (_, stub):
        error = await refusal(stub, "x" * 1_000_000)
        assert isinstance(error, errors.ResourceExhausted | errors.Unavailable)
        assert (await stub.Lookup(pb.LookupRequest(key="k"))).hit.value == b"", "the server goes on"


async def test_a_signer_whose_clock_is_a_little_ahead_is_borne(serve: Serve, jwt_keys: JwtKeys) -> None:
    ahead = int(time.time()) + 3
    token = await asyncio.to_thread(lambda: signed(jwt_keys.private, iat=ahead, nbf=ahead))
    async with serve(lookup=who) as (_, stub):
        answer = await stub.Lookup(pb.LookupRequest(key="k"), metadata=[("authorization", f"Bearer {token}")])
        assert answer.hit.value == READER.encode()

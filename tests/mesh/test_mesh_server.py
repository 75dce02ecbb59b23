import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from gaji.cache.v1 import cache_service_pb2 as pb
from gaji.cache.v1 import cache_service_pb2_grpc as rpc
from google.protobuf import empty_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mesh import client, deadlines, errors, identity, server, streams
from mesh.client import grpc_target, open_channel
from mesh.config import MeshSettings
from mesh.telemetry import trace
from tests.mesh.conftest import CACHE, Serve, code_of


async def hit(request: pb.LookupRequest) -> pb.LookupResponse:
    return pb.LookupResponse(hit=pb.Hit(value=request.key.encode()))


async def test_a_typed_error_arrives_with_reason_fields_and_retry_delay(serve: Serve) -> None:
    async def refuse(request: pb.LookupRequest) -> pb.LookupResponse:
        raise errors.InvalidArgument("no", reason="BAD_KEY", fields={"key": "is odd"}, retry_after=1.5)

    async with serve(lookup=refuse) as (_, stub):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Lookup(pb.LookupRequest(key="k"))
    error = errors.from_rpc_error(caught.value)
    assert isinstance(error, errors.InvalidArgument)
    assert (error.reason, error.fields, error.retry_after, error.message) == ("BAD_KEY", {"key": "is odd"}, 1.5, "no")


@pytest.mark.parametrize("kind", list(errors.BY_CODE.values()))
async def test_every_kind_of_error_survives_the_wire(serve: Serve, kind: type[errors.MeshError]) -> None:
    async def fail(request: pb.LookupRequest) -> pb.LookupResponse:
        raise kind("so it is", reason="SO")

    async with serve(lookup=fail, retries=False) as (_, stub):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Lookup(pb.LookupRequest(key="k"))
    assert type(errors.from_rpc_error(caught.value)) is kind


async def test_a_bug_is_internal_and_says_nothing_of_itself(serve: Serve) -> None:
    async def broken(request: pb.LookupRequest) -> pb.LookupResponse:
        raise KeyError("the secret")

    async with serve(lookup=broken) as (_, stub):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Lookup(pb.LookupRequest(key="k"))
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(caught.value.details())


async def test_an_error_in_a_stream_comes_after_its_messages(serve: Serve) -> None:
    async def two_then_error(request: Any) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        yield pb.WatchInvalidationsResponse(sequence=1)
        yield pb.WatchInvalidationsResponse(sequence=2)
        raise errors.Unavailable("gone", reason="GONE")

    seen = []
    async with serve(watch=two_then_error) as (_, stub):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for message in stub.WatchInvalidations(pb.WatchInvalidationsRequest()):
                seen.append(message.sequence)
    assert seen == [1, 2]
    assert errors.from_rpc_error(caught.value).reason == "GONE"


async def test_leaving_a_stream_closes_the_handler(serve: Serve) -> None:
    closed = asyncio.Event()

    async def endless(request: Any) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        try:
            sequence = 0
            while True:
                sequence += 1
                yield pb.WatchInvalidationsResponse(sequence=sequence)
                await asyncio.sleep(0.001)
        finally:
            closed.set()

    async with serve(watch=endless) as (_, stub):
        async with streams.opened(stub.WatchInvalidations(pb.WatchInvalidationsRequest())) as messages:
            async for message in messages:
                if message.sequence == 3:
                    break
        await asyncio.wait_for(closed.wait(), 5)


async def test_cleaning_up_a_cancelled_stream_may_wait_and_call(serve: Serve) -> None:
    done = asyncio.Event()

    async def careful(request: Any) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        yield pb.WatchInvalidationsResponse(sequence=1)
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            assert identity.current() is None
            done.set()

    async with serve(watch=careful) as (_, stub):
        async with streams.opened(stub.WatchInvalidations(pb.WatchInvalidationsRequest())) as messages:
            await anext(messages)
        await asyncio.wait_for(done.wait(), 5)


async def test_the_deadline_shrinks_at_each_hop(serve: Serve) -> None:
    left: list[float | None] = []

    async def inner(request: pb.LookupRequest) -> pb.LookupResponse:
        left.append(deadlines.remaining())
        return await hit(request)

    async with serve(lookup=inner) as (_, inner_stub):

        async def outer(request: pb.LookupRequest) -> pb.LookupResponse:
            left.append(deadlines.remaining())
            response: pb.LookupResponse = await inner_stub.Lookup(request, timeout=100)
            return response

        async with serve(lookup=outer) as (_, outer_stub):
            await outer_stub.Lookup(pb.LookupRequest(key="k"), timeout=5)
    first, second = left
    assert first is not None
    assert second is not None
    assert 5 > first > second > 0


async def test_a_call_with_too_little_time_left_is_refused_before_it_is_made(serve: Serve) -> None:
    async with serve(lookup=hit) as (_, stub):
        with deadlines.scope(0.01), pytest.raises(errors.DeadlineExceeded):
            await stub.Lookup(pb.LookupRequest(key="k"))


async def test_a_call_without_a_deadline_gets_one(serve: Serve) -> None:
    async def slow(request: pb.LookupRequest) -> pb.LookupResponse:
        await asyncio.sleep(60)
        return pb.LookupResponse()

    async with serve(lookup=slow, default_timeout=0.2) as (_, stub):
        assert await code_of(stub.Lookup(pb.LookupRequest(key="k"))) is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_the_token_is_verified_and_handed_on(serve: Serve, bearer: Any) -> None:
    async def who(request: pb.LookupRequest) -> pb.LookupResponse:
        caller = identity.current()
        return pb.LookupResponse(hit=pb.Hit(value=(caller.user_id if caller else "nobody").encode()))

    async with serve(lookup=who) as (_, inner):

        async def pass_on(request: pb.LookupRequest) -> pb.LookupResponse:
            response: pb.LookupResponse = await inner.Lookup(request)
            return response

        async with serve(lookup=pass_on) as (_, stub):
            token = bearer("11111111-1111-4111-8111-111111111111")
            answer = await stub.Lookup(pb.LookupRequest(key="k"), metadata=[("authorization", f"Bearer {token}")])
            assert answer.hit.value == b"11111111-1111-4111-8111-111111111111"
            assert (await stub.Lookup(pb.LookupRequest(key="k"))).hit.value == b"nobody"


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ("Bearer x.y.z", "TOKEN_INVALID"),
        ("Basic abc", "TOKEN_INVALID"),
        ("Bearer ", "TOKEN_INVALID"),
        ("expired", "TOKEN_EXPIRED"),
    ],
)
async def test_a_wrong_token_is_refused(serve: Serve, bearer: Any, authorization: str, reason: str) -> None:
    if authorization == "expired":
        authorization = f"Bearer {bearer('11111111-1111-4111-8111-111111111111', ttl=-5)}"
    async with serve(lookup=hit) as (_, stub):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Lookup(pb.LookupRequest(key="k"), metadata=[("authorization", authorization)])
    error = errors.from_rpc_error(caught.value)
    assert isinstance(error, errors.Unauthenticated)
    assert error.reason == reason


def test_a_remembered_token_still_expires(jwt_keys: Any, bearer: Any) -> None:
    verifier = identity.TokenVerifier(jwt_keys.public)
    token = bearer("11111111-1111-4111-8111-111111111111", ttl=1)
    assert not verifier.verify(token).guest
    time.sleep(1.1)
    with pytest.raises(errors.Unauthenticated) as caught:
        verifier.verify(token)
    assert caught.value.reason == "TOKEN_EXPIRED"


async def test_request_id_and_trace_go_down_the_path(serve: Serve) -> None:
    seen: list[trace.TraceContext | None] = []

    async def note(request: pb.LookupRequest) -> pb.LookupResponse:
        seen.append(trace.current())
        return await hit(request)

    async with serve(lookup=note) as (_, inner):

        async def pass_on(request: pb.LookupRequest) -> pb.LookupResponse:
            seen.append(trace.current())
            response: pb.LookupResponse = await inner.Lookup(request)
            return response

        async with serve(lookup=pass_on) as (_, stub):
            parent = f"00-{'a' * 32}-{'b' * 16}-01"
            await stub.Lookup(pb.LookupRequest(key="k"), metadata=[("x-request-id", "r-1"), ("traceparent", parent)])
    outer, below = seen
    assert outer is not None
    assert below is not None
    assert (outer.request_id, below.request_id) == ("r-1", "r-1")
    assert outer.trace_id == below.trace_id == "a" * 32
    assert outer.span_id != below.span_id


async def test_health_reflection_metrics_and_liveness(serve: Serve) -> None:
    async with serve(lookup=hit) as (server, stub), grpc.aio.insecure_channel(server.address) as channel:
        await stub.Lookup(pb.LookupRequest(key="k"))
        health: Any = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(service=CACHE.full_name), timeout=5)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        async with httpx.AsyncClient(timeout=5) as client:
            metrics = (await client.get(f"http://{server.admin_address}/metrics")).text
            assert (await client.get(f"http://{server.admin_address}/health")).text == "alive\n"
            assert (await client.get(f"http://{server.admin_address}/other")).status_code == 404
    method = 'grpc_method="gaji.cache.v1.CacheService/Lookup",grpc_status="OK"'
    assert f"grpc_server_call_duration_seconds_count{{{method}}}" in metrics
    target = f'grpc_target="dns:///{server.address}"'
    for kind in ("attempt", "call"):
        assert f"grpc_client_{kind}_duration_seconds_count{{{method},{target}}}" in metrics


async def test_a_replica_that_is_not_serving_gets_no_calls(serve: Serve, settings: MeshSettings) -> None:
    def named(name: bytes) -> Any:
        async def answer(request: pb.LookupRequest) -> pb.LookupResponse:
            return pb.LookupResponse(hit=pb.Hit(value=name))

        return answer

    async with serve(lookup=named(b"a")) as (a, _), serve(lookup=named(b"b")) as (b, _):
        async with open_channel(f"{a.address},{b.address}", settings, [CACHE]) as channel:
            stub: Any = rpc.CacheServiceStub(channel)

            async def answers() -> set[bytes]:
                return {(await stub.Lookup(pb.LookupRequest(key="k"))).hit.value for _ in range(20)}

            async def until(expected: set[bytes]) -> None:
                while await answers() != expected:
                    await asyncio.sleep(0.02)

            await asyncio.wait_for(until({b"a", b"b"}), 10)
            await a.set_serving(False)
            await asyncio.wait_for(until({b"b"}), 10)
            assert await answers() == {b"b"}
            await a.set_serving(True)
            await asyncio.wait_for(until({b"a", b"b"}), 10)


async def test_an_idempotent_call_is_retried_and_another_is_not(serve: Serve) -> None:
    calls = {"stats": 0, "lookup": 0}

    def flaky(name: str, response: Any) -> Any:
        async def answer(request: Any) -> Any:
            calls[name] += 1
            if calls[name] < 3:
                raise errors.Unavailable("not yet")
            return response

        return answer

    async with serve(lookup=flaky("lookup", pb.LookupResponse()), stats=flaky("stats", pb.GetStatsResponse())) as (
        _,
        stub,
    ):
        await stub.GetStats(pb.GetStatsRequest())
        assert await code_of(stub.Lookup(pb.LookupRequest(key="k"))) is grpc.StatusCode.UNAVAILABLE
    assert calls == {"stats": 3, "lookup": 1}


async def test_draining_lets_a_running_call_end_and_refuses_new_ones(serve: Serve, settings: MeshSettings) -> None:
    entered = asyncio.Event()

    async def slow(request: pb.LookupRequest) -> pb.LookupResponse:
        entered.set()
        await asyncio.sleep(0.3)
        return await hit(request)

    server_scope = serve(lookup=slow, drain_seconds=5)
    server, _ = await server_scope.__aenter__()
    async with open_channel(server.address, settings) as channel:
        stub: Any = rpc.CacheServiceStub(channel)
        running = asyncio.ensure_future(stub.Lookup(pb.LookupRequest(key="k")))
        await asyncio.wait_for(entered.wait(), 5)
        await server_scope.__aexit__(None, None, None)
        assert (await running).hit.value == b"k"
        assert await code_of(stub.Lookup(pb.LookupRequest(key="k"), timeout=2)) is grpc.StatusCode.UNAVAILABLE


async def test_a_taken_port_is_said(serve: Serve) -> None:
    async with serve(lookup=hit) as (server, _):
        with pytest.raises(OSError, match="is the port taken"):
            async with serve(lookup=hit, listen=server.address):
                pass


async def test_an_unknown_method_is_unimplemented(serve: Serve) -> None:
    async with serve(lookup=hit) as (server, _), grpc.aio.insecure_channel(server.address) as channel:
        method: Any = channel.unary_unary(
            "/gaji.cache.v1.CacheService/Nothing",
            request_serializer=empty_pb2.Empty.SerializeToString,
            response_deserializer=empty_pb2.Empty.FromString,
        )
        assert await code_of(method(empty_pb2.Empty(), timeout=5)) is grpc.StatusCode.UNIMPLEMENTED


def test_targets() -> None:
    assert grpc_target("dns:///search:50052") == "dns:///search:50052"
    assert grpc_target("127.0.0.1:1") == "127.0.0.1:1"
    assert grpc_target("127.0.0.1:1, 127.0.0.2:2") == "ipv4:127.0.0.1:1,127.0.0.2:2"
    with pytest.raises(ValueError, match="dns:///"):
        grpc_target("a:1,b:2")


@pytest.mark.parametrize("path", ["Lookup", "WatchInvalidations"])
async def test_a_request_that_does_not_parse_is_the_callers_mistake(serve: Serve, path: str) -> None:
    async with serve(lookup=hit) as (server, _), grpc.aio.insecure_channel(server.address) as channel:
        method: Any = channel.unary_unary(f"/gaji.cache.v1.CacheService/{path}")
        for raw, reason, fields in (
            (b"\x0a\x02\xc3\x28", "INVALID_UTF8", {"key" if path == "Lookup" else "kinds"}),
            (b"\xff\xff\xff", "MALFORMED_MESSAGE", set()),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await method(raw, timeout=5)
            error = errors.from_rpc_error(caught.value)
            assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
            assert set(error.fields) == fields


@pytest.mark.parametrize("text", ["is odd", "is 이상하다"])
async def test_an_error_with_more_than_fits_into_metadata_arrives_shortened(serve: Serve, text: str) -> None:
    async def refuse(request: pb.LookupRequest) -> pb.LookupResponse:
        fields = {f"keys[{i}]": text for i in range(1000)}
        message = "; ".join(f"{field} {text}" for field in fields)
        raise errors.InvalidArgument(message, reason="BAD_KEYS", fields=fields, retry_after=1.5)

    async with serve(lookup=refuse) as (_, stub):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Lookup(pb.LookupRequest(key="k"))
    error = errors.from_rpc_error(caught.value)
    assert isinstance(error, errors.InvalidArgument)
    assert (error.reason, error.fields["keys[0]"], error.retry_after) == ("BAD_KEYS", text, 1.5)
    assert error.message.endswith(" ...")


def test_grpc_knows_every_option_that_is_set() -> None:
    # It ignores others without a word: with the ping interval misspelt, silent streams were cut after 90 s.
    core = b"".join(path.read_bytes() for path in Path(grpc.__file__).parent.glob("_cython/cygrpc*"))
    sources = [Path(module.__file__ or "").read_text() for module in (client, server)]
    names = {name for source in sources for name in re.findall(r'"(grpc\.[a-z0-9_.]+)"', source)}
    assert len(names) > 8
    assert {name for name in names if name.encode() + b"\0" not in core} == set()

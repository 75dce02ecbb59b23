"""One budget for several gateways, on a real Valkey that is stopped and comes back."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis.asyncio

from gateway import buckets
from gateway.buckets import Bucket, Policy, Shared, open_shared
from gateway.metrics import RATE_LIMIT_LOCAL
from mesh.redis_client import open_redis
from stack.embedded.valkey import ValkeyServer, open_valkey
from tests.gateway.conftest import Gateway
from tests.gateway.test_gateway_limits import field

# One unit comes back in 1000 s; a busy machine must not pass for a Redis that is away.
SLOW = {"rate_limit": 0.001, "rate_limit_wait": 5.0}


def local() -> float:
    value: float = RATE_LIMIT_LOCAL._value.get()
    return value


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def two(gateway: Gateway, **settings: Any) -> AsyncIterator[list[httpx.AsyncClient]]:
    async with AsyncExitStack() as stack:
        yield [(await stack.enter_async_context(gateway(**settings)))[0] for _ in range(2)]


async def spent(clients: list[httpx.AsyncClient], at_most: int) -> int:
    """How many requests are allowed, asked of one gateway after the other, until all refuse."""
    allowed = 0
    while True:
        answers = [await client.get("/probe/anybody") for client in clients]
        allowed += sum(answer.is_success for answer in answers)
        assert allowed <= at_most
        if all(answer.status_code == 429 for answer in answers):
            return allowed


async def test_two_gateways_share_one_budget(gateway: Gateway, redis_url: str) -> None:
    async with two(gateway, redis_url=redis_url, rate_burst=10, **SLOW) as clients:
        assert await spent(clients, 10) == 10


async def test_many_at_once_at_both_never_get_more_than_there_is(gateway: Gateway, redis_url: str) -> None:
    async with two(gateway, redis_url=redis_url, rate_burst=10, **SLOW) as clients:
        answers = await asyncio.gather(*(client.get("/probe/anybody") for client in clients * 15))
        assert sum(answer.is_success for answer in answers) == 10


async def test_the_budget_outlives_a_gateway(gateway: Gateway, redis_url: str) -> None:
    settings = {"redis_url": redis_url, "rate_burst": 3, **SLOW}
    async with gateway(**settings) as (client, _):
        assert await spent([client], 3) == 3
    async with gateway(**settings) as (client, _):
        assert (await client.get("/probe/anybody")).status_code == 429


async def test_no_key_says_more_than_whose_it_is_and_all_end(gateway: Gateway, redis_url: str) -> None:
    async with gateway(redis_url=redis_url, login_rate=0.1, login_burst=5, rate_limit_wait=5.0) as (client, _):
        await client.post("/probe/enter", json={"email": "ann@x.org"})
    async with redis.asyncio.Redis.from_url(redis_url, decode_responses=True) as redis_:
        keys = [str(key) for key in await redis_.keys()]
        assert [key.rpartition(":")[0] for key in keys] == ["gaji:limit:v1:gcra:account"]
        assert "ann" not in keys[0]
        assert 0 < await redis_.ttl(keys[0]) <= 10


async def test_a_redis_that_is_killed_is_done_without_and_found_again(gateway: Gateway, server_folder: Path) -> None:
    async with AsyncExitStack() as servers:
        valkey = await servers.enter_async_context(open_valkey(server_folder / "valkey"))
        settings = {"redis_url": valkey.url, "rate_limit": 0.001, "rate_burst": 4, "rate_limit_wait": 1.0}
        async with two(gateway, **settings) as clients:
            for client in clients:
                assert field(await client.get("/probe/anybody"), "ratelimit")["default"][0] < 4
            await servers.aclose()
            # Each counts for itself now, and begins anew.
            assert await spent(clients, 8) == 8
            assert local() == 1
            async with open_valkey(server_folder / "valkey", port=valkey.port) as again:
                await until(lambda: local() == 0)
                async with redis.asyncio.Redis.from_url(again.url) as redis_:
                    await redis_.flushall()
                    for _ in range(100):  # of two gateways only one may have found it so far
                        await asyncio.gather(*(client.get("/probe/anybody") for client in clients))
                        if await redis_.keys("gaji:limit:*"):
                            break
                    else:
                        pytest.fail("nobody went back to Redis")


@asynccontextmanager
async def frozen(valkey: ValkeyServer) -> AsyncIterator[None]:
    """A Redis that takes connections and never answers."""
    async with redis.asyncio.Redis.from_url(valkey.url) as client:
        pid = (await client.info("server"))["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_redis_that_hangs_is_waited_for_once(server_folder: Path) -> None:
    async with open_valkey(server_folder / "valkey") as valkey, open_shared(valkey.url, 0.2) as shared:
        assert shared is not None
        await until(lambda: shared.up)
        bucket = Bucket(Policy("default", 0.001, 5), shared)
        async with frozen(valkey):
            taken = await asyncio.gather(*(bucket.take(f"u:{number % 7}", 1) for number in range(70)))
            assert sum(one.allowed for one in taken) == 35
            assert not shared.up
            asked = shared.client
            shared.client = None  # whoever asks now fails
            assert not (await bucket.take("u:1", 1)).allowed
            shared.client = asked
        await until(lambda: shared.up)
        assert (await bucket.take("u:1", 1)).allowed


async def test_a_gateway_begins_without_redis(gateway: Gateway, unused_tcp_port: int) -> None:
    url = f"redis://127.0.0.1:{unused_tcp_port}/0"
    async with gateway(redis_url=url, rate_limit=0.001, rate_burst=2) as (client, _):
        assert local() == 1
        assert await spent([client], 2) == 2
    assert local() == 0


class CountingClient:
    """Redis, and how often it was asked."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.asked = 0

    def register_script(self, text: str) -> Any:
        script = self._client.register_script(text)

        async def run(keys: Any, args: Any) -> Any:
            self.asked += 1
            return await script(keys, args)

        return run


@asynccontextmanager
async def bucket_on(url: str, policy: Policy, now: Callable[[], float]) -> AsyncIterator[tuple[Bucket, CountingClient]]:
    async with open_redis(url, timeout=5.0, connections=4, name="test") as client:
        counting = CountingClient(client)
        yield Bucket(policy, Shared(counting, 5.0), now), counting


async def test_a_lease_spares_most_of_the_questions_and_gives_nothing_away(redis_url: str) -> None:
    # The refill within the test is small beside the burst.
    policy = Policy("default", 100.0, 20_000)
    assert policy.lease == 10
    async with bucket_on(redis_url, policy, lambda: 0.0) as (bucket, client):
        first = await bucket.take("u", 1)
        assert first.allowed
        for _ in range(10):
            assert (await bucket.take("u", 1)).allowed
        assert client.asked == 1
        last = await bucket.take("u", 1)
        assert client.asked == 2
        assert last.remaining >= 20_000 - 12


async def test_a_lease_ends(redis_url: str) -> None:
    clock = [0.0]
    async with bucket_on(redis_url, Policy("default", 100.0, 20_000), lambda: clock[0]) as (bucket, client):
        await bucket.take("u", 1)
        clock[0] = buckets.LEASE_SECONDS
        await bucket.take("u", 1)
        assert client.asked == 2


async def test_who_was_refused_is_refused_without_asking_until_there_can_be_more(redis_url: str) -> None:
    clock = [0.0]
    async with bucket_on(redis_url, Policy("slow", 0.001, 2), lambda: clock[0]) as (bucket, client):
        taken = [await bucket.take("u", 1) for _ in range(10)]
        assert [one.allowed for one in taken] == [True, True] + [False] * 8
        assert client.asked == 3
        clock[0] = 500.0
        assert 490 < (await bucket.take("u", 1)).wait <= 500
        assert client.asked == 3
        clock[0] = 1001.0  # Redis's own clock has not moved
        assert not (await bucket.take("u", 1)).allowed
        assert client.asked == 4


async def test_a_dear_request_that_is_refused_does_not_keep_a_cheap_one_out(redis_url: str) -> None:
    async with bucket_on(redis_url, Policy("slow", 0.001, 5), lambda: 0.0) as (bucket, _):
        assert (await bucket.take("u", 3)).allowed
        assert not (await bucket.take("u", 4)).allowed
        assert (await bucket.take("u", 2)).allowed


@pytest.mark.parametrize(
    ("rate", "burst", "lease", "window", "interval"),
    [(100.0, 200, 10, 2, 0.01), (0.2, 10, 0, 50, 5.0), (1.5, 60, 0, 40, 2 / 3), (0.0001, 1, 0, 10_000, 3600.0)],
)
def test_what_follows_from_a_policy(rate: float, burst: int, lease: int, window: int, interval: float) -> None:
    policy = Policy("x", rate, burst)
    assert (policy.lease, policy.window) == (lease, window)
    assert policy.quota.emission_interval == pytest.approx(interval)

"""Reads through the real cache, and what happens without it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable

import grpc
import pytest
from gaji.cache.v1 import cache_service_pb2 as cache_pb
from gaji.cache.v1 import cache_service_pb2_grpc as cache_rpc
from gaji.library.v1 import novel_service_pb2 as novels_pb
from gaji.library.v1 import scenario_service_pb2 as scenarios_pb
from gaji.library.v1 import user_service_pb2 as users_pb

from mesh.errors import NotFound
from services.cache.__main__ import serving
from services.cache.config import CacheSettings
from tests.fixtures.cache_process import read_through
from tests.fixtures.servers import JwtKeys
from tests.library.conftest import LibraryClient, OpenLibrary, Reader, eventually

MakeSettings = Callable[[str], CacheSettings]
ANY = "127.0.0.1:0"


@pytest.fixture
def cache_settings(redis_url: str, jwt_keys: JwtKeys) -> MakeSettings:
    def make(listen: str) -> CacheSettings:
        return CacheSettings(
            redis_url=redis_url,
            listen=listen,
            admin_listen=ANY,
            jwt_public_key_file=jwt_keys.public,
            drain_seconds=0.1,
        )

    return make


@pytest.fixture
async def cache_address(cache_settings: MakeSettings) -> AsyncIterator[str]:
    async with serving(cache_settings(ANY)) as server:
        yield server.address


@pytest.fixture
async def cached(open_client: OpenLibrary, cache_address: str) -> AsyncIterator[LibraryClient]:
    async with open_client(cache_target=cache_address) as library:
        yield library


async def held(cache_address: str, key: str) -> bytes | None:
    async with grpc.aio.insecure_channel(cache_address) as channel:
        stub = cache_rpc.CacheServiceStub(channel)
        found = await stub.Lookup(cache_pb.LookupRequest(key=key))
        if found.WhichOneof("result") == "lease":
            await stub.Release(cache_pb.ReleaseRequest(key=key, lease_id=found.lease.lease_id))
        return found.hit.value if found.WhichOneof("result") == "hit" else None


async def test_reads_are_cached_and_writes_invalidate(cached: LibraryClient, cache_address: str) -> None:
    ada = await cached.guest()
    key = f"user:{ada.user_id}"
    await read_until_held(cached, ada, cache_address)
    await ada.call(cached.users.UpdateProfile, users_pb.UpdateProfileRequest(display_name="Ada"))
    assert await held(cache_address, key) is None
    profile = await ada.call(cached.users.GetProfile, users_pb.GetProfileRequest())
    assert profile.user.display_name == "Ada"


async def read_until_held(library: LibraryClient, reader: Reader, cache_address: str) -> None:
    """A cache that is slow to connect is left alone for a moment, so one read may not be enough."""

    async def is_held() -> bool:
        await reader.call(library.users.GetProfile, users_pb.GetProfileRequest())
        return await held(cache_address, f"user:{reader.user_id}") is not None

    await eventually(is_held)


async def test_a_cached_value_is_the_same_value_and_still_only_its_owner_s(cached: LibraryClient) -> None:
    ada, bo = await cached.guest(), await cached.guest()
    novel_id = await cached.novel(ada, visibility=novels_pb.VISIBILITY_PRIVATE)
    await cached.watch(ada, novel_id)
    scenario = await cached.scenario(ada, novel_id, until_chapter=2)
    for _ in range(2):
        novel = (await ada.call(cached.novels.GetNovel, novels_pb.GetNovelRequest(novel_id=novel_id))).novel
        assert (novel.status, novel.words) == (novels_pb.INGESTION_STATUS_COMPLETE, 7)
        request = scenarios_pb.GetScenarioRequest(scenario_id=scenario.scenario_id)
        assert (await ada.call(cached.scenarios.GetScenario, request)).scenario == scenario
        with pytest.raises(NotFound):
            await bo.call(cached.novels.GetNovel, novels_pb.GetNovelRequest(novel_id=novel_id))
        with pytest.raises(NotFound):
            await bo.call(cached.scenarios.GetScenario, request)


async def test_ingestion_invalidates_the_novel(cached: LibraryClient) -> None:
    ada = await cached.guest()
    novel_id = await cached.novel(ada)
    request = novels_pb.GetNovelRequest(novel_id=novel_id)
    await ada.call(cached.novels.GetNovel, request)

    async def complete() -> bool:
        found = await ada.call(cached.novels.GetNovel, request)
        return bool(found.novel.status == novels_pb.INGESTION_STATUS_COMPLETE)

    await eventually(complete)


async def test_a_deleted_novel_takes_its_scenarios_out_of_the_cache(cached: LibraryClient) -> None:
    ada, bo = await cached.guest(), await cached.guest()
    novel_id = await cached.novel(ada)
    scenario = await cached.scenario(bo, novel_id)
    request = scenarios_pb.GetScenarioRequest(scenario_id=scenario.scenario_id)
    await bo.call(cached.scenarios.GetScenario, request)
    await ada.call(cached.novels.DeleteNovel, novels_pb.DeleteNovelRequest(novel_id=novel_id))
    with pytest.raises(NotFound):
        await bo.call(cached.scenarios.GetScenario, request)


async def test_a_value_of_another_release_is_read_past(cached: LibraryClient, cache_address: str) -> None:
    ada = await cached.guest()
    key = f"user:{ada.user_id}"
    async with grpc.aio.insecure_channel(cache_address) as channel:
        stub = cache_rpc.CacheServiceStub(channel)
        lease = (await stub.Lookup(cache_pb.LookupRequest(key=key))).lease
        await stub.Store(cache_pb.StoreRequest(key=key, lease_id=lease.lease_id, value=b'{"unlike": 1}'))
    profile = await ada.call(cached.users.GetProfile, users_pb.GetProfileRequest())
    assert profile.user.user_id == ada.user_id


async def test_without_the_cache_everything_works_and_invalidations_arrive_later(
    open_client: OpenLibrary, cache_settings: MakeSettings
) -> None:
    async with serving(cache_settings(ANY)) as server:
        address = server.address
        async with open_client(cache_target=address) as library:
            ada = await library.guest()
            await read_until_held(library, ada, address)
    async with open_client(cache_target=address) as library:
        request = users_pb.UpdateProfileRequest(display_name="Ada")
        await ada.call(library.users.UpdateProfile, request)
        profile = await ada.call(library.users.GetProfile, users_pb.GetProfileRequest())
        assert profile.user.display_name == "Ada"
        async with serving(cache_settings(address)):

            async def gone() -> bool:
                value = await held(address, f"user:{ada.user_id}")
                return value is None or b'"Ada"' in value

            await eventually(gone)
            profile = await ada.call(library.users.GetProfile, users_pb.GetProfileRequest())
            assert profile.user.display_name == "Ada"


async def near_title(library: LibraryClient, reader: Reader, novel_id: str) -> str:
    """A novel's title, once it comes from the process itself."""
    while True:
        before = read_through("novel", "near")
        found = await reader.call(library.novels.GetNovel, novels_pb.GetNovelRequest(novel_id=novel_id))
        if read_through("novel", "near") > before:
            return str(found.novel.title)
        await asyncio.sleep(0.01)


async def test_what_is_kept_near_is_right_on_every_replica(open_client: OpenLibrary, cache_address: str) -> None:
    async with open_client(cache_target=cache_address) as one, open_client(cache_target=cache_address) as other:
        ada, bo = await one.guest(), await one.guest()
        novel_id = await one.novel(ada, visibility=novels_pb.VISIBILITY_PRIVATE)
        await one.watch(ada, novel_id)
        request = novels_pb.GetNovelRequest(novel_id=novel_id)
        for library in (one, other):
            await near_title(library, ada, novel_id)
            with pytest.raises(NotFound):
                await bo.call(library.novels.GetNovel, request)
        await ada.call(one.novels.UpdateNovel, novels_pb.UpdateNovelRequest(novel_id=novel_id, title="Changed"))
        assert (await ada.call(one.novels.GetNovel, request)).novel.title == "Changed"  # whoever wrote, at once

        async def changed() -> bool:
            return bool((await ada.call(other.novels.GetNovel, request)).novel.title == "Changed")

        await eventually(changed)
        assert await near_title(one, ada, novel_id) == await near_title(other, ada, novel_id) == "Changed"
        await ada.call(one.novels.DeleteNovel, novels_pb.DeleteNovelRequest(novel_id=novel_id))
        with pytest.raises(NotFound):
            await ada.call(one.novels.GetNovel, request)


async def test_readers_themselves_are_never_kept_near(open_client: OpenLibrary, cache_address: str) -> None:
    async with open_client(cache_target=cache_address) as library:
        ada = await library.guest()
        before = read_through("user", "hit")

        async def found() -> bool:
            await ada.call(library.users.GetProfile, users_pb.GetProfileRequest())
            return read_through("user", "hit") >= before + 3

        await eventually(found)
        assert read_through("user", "near") == 0


async def test_that_a_novel_is_not_there_is_remembered(open_client: OpenLibrary, cache_address: str) -> None:
    async with open_client(cache_target=cache_address) as library:
        ada = await library.guest()
        request = novels_pb.GetNovelRequest(novel_id=str(uuid.uuid4()))
        before = read_through("novel", "absent")

        async def remembered() -> bool:
            with pytest.raises(NotFound):
                await ada.call(library.novels.GetNovel, request)
            return read_through("novel", "absent") > before

        await eventually(remembered)

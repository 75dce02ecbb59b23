"""A cache that is frozen, or dead, costs a few calls a moment and no call its answer."""

import time
from pathlib import Path

import pytest
from gaji.library.v1 import user_service_pb2 as users_pb

from tests.fixtures.cache_process import CacheProcess, open_cache_process, read_through, troubled_lookups
from tests.fixtures.servers import JwtKeys
from tests.library.conftest import LibraryClient, OpenLibrary, Reader, eventually

PAUSE = 1.0
"""Seconds for which `mesh.read_through` leaves a cache in trouble alone."""


async def read(library: LibraryClient, reader: Reader) -> str:
    return (await reader.call(library.users.GetProfile, users_pb.GetProfileRequest())).user.display_name


async def hit(library: LibraryClient, reader: Reader) -> bool:
    before = read_through("user", "hit")
    await read(library, reader)
    return read_through("user", "hit") > before


@pytest.mark.parametrize("way", ["frozen", "dead"])
async def test_library_answers_without_its_cache(
    open_client: OpenLibrary, server_folder: Path, redis_url: str, jwt_keys: JwtKeys, way: str
) -> None:
    async with (
        open_cache_process(server_folder, redis_url, jwt_keys.public) as cache,
        open_client(cache_target=cache.address) as library,
    ):
        ada = await library.guest()
        await eventually(lambda: hit(library, ada))
        await away(cache, way)
        began, before = time.monotonic(), troubled_lookups()
        for number in range(100):
            if number % 20 == 0:
                await ada.call(library.users.UpdateProfile, users_pb.UpdateProfileRequest(display_name=f"Ada {number}"))
            assert await read(library, ada) == f"Ada {number // 20 * 20}"
        # One caller in each pause tries the cache; the others do not wait for it.
        assert troubled_lookups() - before <= (time.monotonic() - began) / PAUSE + 1
        if way == "frozen":
            cache.thaw()
            await eventually(lambda: hit(library, ada))
            assert await read(library, ada) == "Ada 80"


async def away(cache: CacheProcess, way: str) -> None:
    if way == "frozen":
        cache.freeze()
    else:
        await cache.kill()

"""Search with a cache that is frozen, or dead."""

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gaji.search.v1 import search_service_pb2 as pb

from services.search.config import SearchSettings
from tests.fixtures.cache_process import open_cache_process, read_through, troubled_lookups
from tests.search.conftest import ingested, opened


@pytest.mark.parametrize("way", ["frozen", "dead"])
async def test_search_answers_without_its_cache(
    search_settings: Callable[..., SearchSettings], server_folder: Path, redis_url: str, jwt_keys: Any, way: str
) -> None:
    async with (
        open_cache_process(server_folder, redis_url, jwt_keys.public) as cache,
        opened(search_settings(cache_target=cache.address, near_cache_bytes=0)) as stub,
    ):
        novel_id = str(uuid.uuid4())
        await ingested(stub, novel_id)
        request = pb.SearchPassagesRequest(novel_id=novel_id, query="the lamp", top_k=3)
        usual = await stub.SearchPassages(request)
        if way == "frozen":
            cache.freeze()
        else:
            await cache.kill()
        began, before = time.monotonic(), troubled_lookups()
        bypassed = read_through("passages", "bypassed")
        for _ in range(20):
            assert await stub.SearchPassages(request) == usual
        assert read_through("passages", "bypassed") - bypassed == 20
        # One caller in each pause (1 s) tries the cache; the others do not wait for it.
        assert troubled_lookups() - before <= time.monotonic() - began + 1

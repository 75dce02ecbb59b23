"""The cache as a process: ``python -m services.cache``."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from gaji.cache.v1 import cache_service_pb2 as pb
from gaji.cache.v1 import cache_service_pb2_grpc as rpc

from mesh.process import run, until_signal
from mesh.redis_client import open_redis
from mesh.server import MeshServer, Service, open_server
from services.cache.config import CacheSettings
from services.cache.domain.cache import Cache
from services.cache.servicer import CacheServicer
from services.cache.stores.bulletin import open_bulletin
from services.cache.stores.redis import RedisStore


@asynccontextmanager
async def serving(settings: CacheSettings) -> AsyncIterator[MeshServer]:
    """The whole room, until the block is left. It starts, and stays up, whether or not the store does."""
    timeout = settings.redis_timeout
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(
            open_redis(settings.redis_url, timeout=timeout, connections=settings.redis_connections, name="gaji-cache")
        )
        bulletin = await stack.enter_async_context(
            open_bulletin(redis, timeout=timeout, backlog=settings.cache_watch_backlog)
        )
        store, lease, jitter = (
            RedisStore(redis, timeout=timeout),
            settings.cache_lease_seconds,
            settings.cache_ttl_jitter,
        )
        cache = await stack.enter_async_context(Cache(store, bulletin, lease_seconds=lease, ttl_jitter=jitter))
        servicer = CacheServicer(cache, bulletin)
        descriptor = pb.DESCRIPTOR.services_by_name["CacheService"]
        service = Service(descriptor, servicer, rpc.add_CacheServiceServicer_to_server)
        server = await stack.enter_async_context(open_server(settings, [service], name="cache"))
        # These streams have no end of their own; the server's drain would wait for them.
        stack.callback(bulletin.end_watches, "this replica stops; watch another")
        stack.callback(servicer.end_lookups)
        yield server


async def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    async with serving(CacheSettings()):
        await until_signal()


if __name__ == "__main__":
    run(main, name="cache")

"""Search as a process: ``python -m services.search``."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from gaji.cache.v1 import cache_service_pb2 as cache_pb
from gaji.search.v1 import search_service_pb2 as pb
from gaji.search.v1 import search_service_pb2_grpc as rpc

from mesh.breaker import Breakers, BreakerSettings
from mesh.client import open_channel
from mesh.process import run, until_signal
from mesh.server import MeshServer, Service, open_server
from services.search.advised import advised_answers, open_asking, people_of
from services.search.clients import open_answers
from services.search.config import SearchSettings
from services.search.domain.around import Around
from services.search.domain.calm import Calm
from services.search.domain.contents import Tables
from services.search.domain.indexes import Indexes
from services.search.domain.ingestion import Ingestions
from services.search.domain.limited import LimitedCharacters
from services.search.domain.searching import Searching
from services.search.fleet.spread import open_reader
from services.search.providers import PROVIDERS
from services.search.providers.pool import open_embedder
from services.search.second import open_second
from services.search.servicer import SearchServicer
from services.search.stores.chroma import open_chroma

SEARCH = pb.DESCRIPTOR.services_by_name["SearchService"]
CACHE = cache_pb.DESCRIPTOR.services_by_name["CacheService"]


@asynccontextmanager
async def serving(settings: SearchSettings) -> AsyncIterator[MeshServer]:
    """The whole room, until the block is left."""
    breakers = Breakers(BreakerSettings.of(settings))
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_chroma(settings))
        embedder = await stack.enter_async_context(open_embedder(settings, PROVIDERS, warm=False))
        reader = await stack.enter_async_context(open_reader(settings, embedder))
        channel = await stack.enter_async_context(
            open_channel(settings.cache_target, settings, [CACHE], gate=breakers.before(CACHE))
        )
        answers = await stack.enter_async_context(
            open_answers(channel, settings.cache_patience, settings.near_cache_bytes)
        )
        indexes = Indexes(store, settings.index_bytes)
        stack.push_async_callback(indexes.close)
        calm = Calm()
        second = await stack.enter_async_context(open_second(settings, store, embedder, reader, calm))
        asking = await stack.enter_async_context(open_asking(settings))
        ingestions = Ingestions(store, reader, answers, indexes, people_of(settings, asking), second=second, calm=calm)
        stack.push_async_callback(ingestions.close)
        searching = Searching(store, embedder, indexes, second, calm)
        advised = advised_answers(settings, searching, asking, answers)
        servicer = SearchServicer(
            searching,
            ingestions,
            answers,
            Around(store),
            LimitedCharacters(store),
            tables=Tables(store, indexes),
            advised=advised,
        )
        service = Service(SEARCH, servicer, rpc.add_SearchServiceServicer_to_server)
        server = await stack.enter_async_context(open_server(settings, [service], name="search", breakers=breakers))
        embedder.warm_up()  # only now: it takes the processor from what a start waits for
        yield server


async def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    async with serving(SearchSettings()):
        await until_signal()


if __name__ == "__main__":
    run(main, name="search")

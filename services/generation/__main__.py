"""The generation process."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from gaji.generation.v1 import generation_service_pb2 as pb
from gaji.generation.v1 import generation_service_pb2_grpc as rpc

from mesh.breaker import Breakers, BreakerSettings
from mesh.client import open_channel
from mesh.process import run, until_signal
from mesh.server import MeshServer, Service, open_server
from mesh.streamlog import open_hub
from services.generation.clients import LIBRARY, SEARCH, LibraryClient, SearchClient
from services.generation.config import GenerationSettings
from services.generation.domain.ahead import Ahead
from services.generation.domain.desk import Desk
from services.generation.domain.lineup import Lineup
from services.generation.domain.passages import PassageFinder
from services.generation.domain.replies import Replies
from services.generation.domain.writing import Writer
from services.generation.ports import ModelProvider
from services.generation.providers.lineup import open_models
from services.generation.servicer import GenerationServicer
from services.generation.wire import EventCodec

SERVICE = pb.DESCRIPTOR.services_by_name["GenerationService"]


@asynccontextmanager
async def serving(settings: GenerationSettings, *models: ModelProvider) -> AsyncIterator[MeshServer]:
    """The whole room with its models, until the block is left; what is being written is then handed over."""
    breakers = Breakers(BreakerSettings.of(settings))
    async with AsyncExitStack() as stack:
        lineup = Lineup(
            models,
            first_token_seconds=settings.first_token_seconds,
            rest_seconds=settings.provider_rest_seconds,
        )
        await stack.enter_async_context(aclosing(lineup))
        library = await stack.enter_async_context(
            open_channel(settings.library_target, settings, [LIBRARY], gate=breakers.before(LIBRARY))
        )
        search = await stack.enter_async_context(
            open_channel(settings.search_target, settings, [SEARCH], gate=breakers.before(SEARCH))
        )
        hub = await stack.enter_async_context(
            open_hub(
                settings.redis_url,
                EventCodec(),
                name="generation",
                lease_seconds=settings.log_lease_seconds,
                ttl_seconds=settings.log_ttl_seconds,
                timeout=settings.redis_timeout,
            )
        )
        finder = PassageFinder(SearchClient(search), settings.passages, settings.passages_seconds)
        kept = LibraryClient(library)
        desk = Desk(Writer(lineup, kept, finder, settings.limits), kept, hub)
        replies = Replies(desk, kept, hub, Ahead(finder))
        service = Service(SERVICE, GenerationServicer(replies), rpc.add_GenerationServiceServicer_to_server)
        server = await stack.enter_async_context(open_server(settings, [service], name="generation", breakers=breakers))
        stack.push_async_callback(replies.hand_over)  # the server's drain would wait for the streams
        yield server


async def main() -> None:
    """Loads the models, then serves until told to stop.

    Raises:
        ValueError: the model is not set up; the message says what to do.
        OSError: it cannot be reached or loaded.
    """
    settings = GenerationSettings()
    async with serving(settings, *await open_models(settings)):
        await until_signal()


if __name__ == "__main__":
    run(main, name="generation")

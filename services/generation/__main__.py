"""The generation process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from gaji.generation.v1 import generation_service_pb2 as pb
from gaji.generation.v1 import generation_service_pb2_grpc as rpc

from mesh.client import open_channel
from mesh.errors import FailedPrecondition, InvalidArgument, MeshError
from mesh.process import run, until_signal
from mesh.server import MeshServer, Service, open_server
from mesh.streamlog import open_hub
from services.generation.clients import LIBRARY, SEARCH, LibraryClient, SearchClient
from services.generation.config import GenerationSettings
from services.generation.domain.desk import Desk
from services.generation.domain.passages import PassageFinder
from services.generation.domain.replies import Replies
from services.generation.domain.writing import Writer
from services.generation.ports import ModelProvider
from services.generation.providers import open_provider
from services.generation.servicer import GenerationServicer
from services.generation.wire import EventCodec

SERVICE = pb.DESCRIPTOR.services_by_name["GenerationService"]


@asynccontextmanager
async def serving(settings: GenerationSettings, provider: ModelProvider) -> AsyncIterator[MeshServer]:
    """The whole room with a model, until the block is left; what is being written is then handed over."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(aclosing(provider))
        library = await stack.enter_async_context(open_channel(settings.library_target, settings, [LIBRARY]))
        search = await stack.enter_async_context(open_channel(settings.search_target, settings, [SEARCH]))
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
        desk = Desk(Writer(provider, kept, finder, settings.limits), kept, hub)
        replies = Replies(desk, kept, hub)
        service = Service(SERVICE, GenerationServicer(replies), rpc.add_GenerationServiceServicer_to_server)
        server = await stack.enter_async_context(open_server(settings, [service], name="generation"))
        stack.push_async_callback(replies.hand_over)  # the server's drain would wait for the streams
        yield server


async def open_model(settings: GenerationSettings) -> ModelProvider:
    """The model of the settings, loaded.

    Raises:
        ValueError: it is not set up; the message says what to do.
        OSError: it cannot be reached or loaded.
    """
    try:
        async with asyncio.timeout(settings.load_seconds):
            return await open_provider(settings)
    except TimeoutError:
        raise OSError(f"the model took longer to load than GAJI_LOAD_SECONDS={settings.load_seconds:g}") from None
    except MeshError as error:
        # What no restart mends (an unknown provider, a missing key) must not be tried again and again.
        kind = ValueError if isinstance(error, FailedPrecondition | InvalidArgument) else OSError
        raise kind(error.message) from error


async def main() -> None:
    """Loads the model, then serves until told to stop.

    Raises:
        ValueError: the model is not set up; the message says what to do.
        OSError: it cannot be reached or loaded.
    """
    settings = GenerationSettings()
    async with serving(settings, await open_model(settings)):
        await until_signal()


if __name__ == "__main__":
    run(main, name="generation")

"""The generation process."""

import asyncio
from contextlib import AsyncExitStack, aclosing

from gaji.generation.v1 import generation_service_pb2 as pb
from gaji.generation.v1 import generation_service_pb2_grpc as rpc

from mesh.client import open_channel
from mesh.errors import FailedPrecondition, InvalidArgument, MeshError
from mesh.process import run, until_signal
from mesh.server import Service, open_server
from services.generation.clients import LIBRARY, SEARCH, LibraryClient, SearchClient
from services.generation.config import GenerationSettings
from services.generation.domain.engine import ReplyEngine
from services.generation.domain.passages import PassageFinder
from services.generation.providers import open_provider
from services.generation.servicer import GenerationServicer

SERVICE = pb.DESCRIPTOR.services_by_name["GenerationService"]


async def main() -> None:
    """Loads the model, then serves until told to stop.

    Raises:
        ValueError: the model is not set up; the message says what to do.
        OSError: it cannot be reached or loaded.
    """
    settings = GenerationSettings()
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(settings.load_seconds):
                provider = await open_provider(settings)
        except TimeoutError:
            raise OSError(f"the model took longer to load than GAJI_LOAD_SECONDS={settings.load_seconds:g}") from None
        except MeshError as error:
            # What no restart mends (an unknown provider, a missing key) must not be tried again and again.
            kind = ValueError if isinstance(error, FailedPrecondition | InvalidArgument) else OSError
            raise kind(error.message) from error
        await stack.enter_async_context(aclosing(provider))
        library = await stack.enter_async_context(open_channel(settings.library_target, settings, [LIBRARY]))
        search = await stack.enter_async_context(open_channel(settings.search_target, settings, [SEARCH]))
        finder = PassageFinder(SearchClient(search), settings.passages, settings.passages_seconds)
        engine = await stack.enter_async_context(
            aclosing(ReplyEngine(provider, LibraryClient(library), finder, settings.limits))
        )
        service = Service(SERVICE, GenerationServicer(engine), rpc.add_GenerationServiceServicer_to_server)
        await stack.enter_async_context(open_server(settings, [service], name="generation"))
        await until_signal()


if __name__ == "__main__":
    run(main, name="generation")

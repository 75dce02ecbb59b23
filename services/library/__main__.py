"""Composes the library and serves it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from gaji.cache.v1 import cache_service_pb2 as cache_pb
from gaji.jobs.v1 import job_service_pb2 as jobs_pb
from gaji.search.v1 import search_service_pb2 as search_pb

from mesh.breaker import Breakers, BreakerSettings
from mesh.client import open_channel
from mesh.followed import FollowedFile, following
from mesh.process import run, until_signal
from mesh.server import MeshServer, open_server
from mesh.streamlog import open_hub
from services.library.cache_client import open_cache
from services.library.clients import GrpcSearch, open_jobs
from services.library.config import LibrarySettings
from services.library.domain.library import Library
from services.library.domain.passwords import Passwords
from services.library.domain.progress import ProgressCodec
from services.library.domain.removals import removing
from services.library.domain.telling import telling
from services.library.domain.tokens import TokenIssuer, parse_private_key
from services.library.intake.converter import open_converter
from services.library.servicer import services
from services.library.stores import open_stores

_CACHE = cache_pb.DESCRIPTOR.services_by_name["CacheService"]
_JOBS = jobs_pb.DESCRIPTOR.services_by_name["JobService"]
_SEARCH = search_pb.DESCRIPTOR.services_by_name["SearchService"]
_TICKETS = ("/gaji.library.v1.AuthService/RedeemStreamTicket",)


@asynccontextmanager
async def open_library(settings: LibrarySettings) -> AsyncIterator[MeshServer]:
    """Brings the schema up to date and serves until the block is left.

    Raises:
        OSError: a port is taken, or the database does not answer.
        ValueError: a key file holds no key.
    """
    async with AsyncExitStack() as stack:
        key = FollowedFile(settings.jwt_private_key_file, parse_private_key)
        signing = await asyncio.to_thread(key.load)
        tokens = TokenIssuer(signing, settings.access_token_seconds, settings.stream_ticket_seconds)
        await stack.enter_async_context(following(key, tokens.sign_with, settings.jwt_keys_poll_seconds))
        stores = await stack.enter_async_context(open_stores(settings))
        breakers = Breakers(BreakerSettings.of(settings))
        to_cache, to_search, to_jobs = [
            await stack.enter_async_context(open_channel(target, settings, [peer], gate=breakers.before(peer)))
            for target, peer in (
                (settings.cache_target, _CACHE),
                (settings.search_target, _SEARCH),
                (settings.jobs_target, _JOBS),
            )
        ]
        cache = await stack.enter_async_context(open_cache(to_cache, settings.near_cache_bytes))
        search = GrpcSearch(to_search)
        jobs = await stack.enter_async_context(open_jobs(to_jobs))
        hub = await stack.enter_async_context(
            open_hub(
                settings.redis_url,
                ProgressCodec(),
                name="library",
                lease_seconds=settings.log_lease_seconds,
                ttl_seconds=settings.log_ttl_seconds,
            )
        )
        passwords = await stack.enter_async_context(Passwords())
        library = Library(
            stores=stores,
            search=search,
            cache=cache,
            jobs=jobs,
            intake=await stack.enter_async_context(open_converter(settings.intake_seconds)),
            hub=hub,
            passwords=passwords,
            tokens=tokens,
            terms=settings.terms(),
        )
        await stack.enter_async_context(removing(stores.ingestion, search, settings.ingestion_poll_seconds))
        await stack.enter_async_context(telling(stores.edits, search, settings.ingestion_poll_seconds))
        server = await stack.enter_async_context(
            open_server(settings, services(library), name="library", breakers=breakers, tickets=_TICKETS)
        )
        # What would keep the server from stopping ends first.
        stack.callback(library.watching.end)
        stack.push_async_callback(library.keeping.stop)
        stack.push_async_callback(library.ingestions.stop)
        yield server


async def main() -> None:
    """Runs until SIGTERM or SIGINT."""
    async with open_library(LibrarySettings()):
        await until_signal()


if __name__ == "__main__":
    run(main, name="library")

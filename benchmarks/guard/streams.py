"""An event's way: from the model's word into the relay's batch, and from the batch into the readers' sockets."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from benchmarks.guard.paths import Round, Site
from benchmarks.guard.readers import WORD
from gateway.config import GatewaySettings
from gateway.server import open_gateway
from mesh.telemetry.metrics import REGISTRY
from services.generation.__main__ import serving
from services.generation.config import GenerationSettings
from services.generation.ports import Chunk, Hear, Prompt

STREAMS = 20
_LONG = 3_600.0
_STORED = "gaji_log_entries_total"


class Dictated:
    """A model that says a word whenever it is told to, on all of its replies at once."""

    name = model = "dictated"
    context_window = 1_000_000
    continues = True

    def __init__(self) -> None:
        self._turn = asyncio.Event()

    def say(self) -> None:
        """The next word."""
        turn, self._turn = self._turn, asyncio.Event()
        turn.set()

    async def answer(
        self, prompt: Prompt, hear: Hear, *, max_tokens: int, temperature: float, stop: Sequence[str] = ()
    ) -> None:
        """See `services.generation.ports.ModelProvider`; it never ends."""
        while True:
            turn = self._turn
            hear(Chunk(WORD))
            await turn.wait()

    async def aclose(self) -> None:
        """Nothing is held."""


@asynccontextmanager
async def producer(site: Site) -> AsyncIterator[Round]:
    """The whole room of generation: model, log, relay; one reader of each of some replies."""
    library = await site.peer.ask("library", public_key=str(site.public_key))
    settings = GenerationSettings(
        listen="127.0.0.1:0",
        admin_listen="127.0.0.1:0",
        redis_url=site.redis_url,
        jwt_public_key_file=site.public_key,
        library_target=library,
        search_target=library,  # it knows no search: replies go on without
        reply_seconds=_LONG,
    )
    model, turns = Dictated(), site.some(8, 1)
    async with serving(settings, model) as server:
        words, events = await site.peer.ask("follow", address=server.address, token=site.token, count=STREAMS)
        await _stored(events)

        async def run() -> int:
            nonlocal words
            for _ in range(turns):
                model.say()
                await asyncio.sleep(site.pause)
            words += turns * STREAMS
            await _stored(await site.peer.ask("heard", words=words))
            return turns * STREAMS

        yield run


@asynccontextmanager
async def gateway(site: Site) -> AsyncIterator[Round]:
    """The whole gateway; readers are bare sockets, all in another process."""
    upstream = await site.peer.ask("upstream", public_key=str(site.public_key))
    settings = GatewaySettings(
        listen="127.0.0.1:0",
        admin_listen="127.0.0.1:0",
        library_target=upstream,  # all rooms: those that are not there would be looked for all the time
        search_target=upstream,
        generation_target=upstream,
        cache_target=upstream,
        jobs_target=upstream,
        jwt_public_key_file=site.public_key,
        rate_limit=0,
        max_streams_per_user=0,
        max_connections_per_address=0,
        revocation_poll_seconds=10,
        web_root="none",
    )
    turns = site.some(8, 1)
    async with open_gateway(settings) as opened:
        await site.peer.ask("read", address=opened.address, token=site.token, count=STREAMS)

        async def run() -> int:
            return int(await site.peer.ask("turns", count=turns, pause=site.pause))

        yield run


async def _stored(events: int) -> None:
    """Returns when the log of all replies has so many events, which readers have before it has them."""
    log = REGISTRY.restricted_registry([_STORED])
    while sum(sample.value for family in log.collect() for sample in family.samples) < events:  # noqa: ASYNC110 - none tells
        await asyncio.sleep(0.01)

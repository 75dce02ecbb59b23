"""What a worker does with a batch."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from mesh.errors import MeshError
from services.search.config import SearchSettings
from services.search.fleet.mailbox import Mailbox, open_mailbox
from services.search.fleet.versions import queue_of
from services.search.fleet.wire import Kind, Reply, batch_of, packed_reading
from services.search.metrics import WORKER_BATCHES
from services.search.ports import Embedder
from services.search.providers import PROVIDERS
from services.search.providers.pool import open_embedder

_CONNECTIONS = 2


class Desk:
    """Reads batches, one at a time.

    Args:
        embedder: the models.
        mailbox: where batches and replies lie.
        versions: of the models, by name.
        deadline: how long a batch may take, in seconds.
    """

    def __init__(self, embedder: Embedder, mailbox: Mailbox, versions: Mapping[str, str], deadline: float) -> None:
        self._embedder = embedder
        self._mailbox = mailbox
        self._versions = versions
        self._deadline = deadline

    async def work(self, batch: str, model: str, version: str) -> str:
        """Reads a batch and tells search; returns what became of it in a word.

        Args:
            batch: its id.
            model: that it is for.
            version: of the model, which must be this worker's.

        Raises:
            MailboxError: Valkey does not answer: search will wait in vain, and read the batch itself.
            ValueError: the batch is none.
        """
        outcome = await self._worked(batch, model, version)
        WORKER_BATCHES.labels(model, outcome).inc()
        return outcome

    async def _worked(self, batch: str, model: str, version: str) -> str:
        data = await self._mailbox.take(batch)
        if data is None:
            return "gone"
        wanted = batch_of(data)
        mine = self._versions.get(model)
        if mine != version:
            why = f"this worker has {model} {mine or 'not at all'}, and the batch is for {model} {version}"
            await self._mailbox.reply(wanted.replies, Reply(batch, Kind.REFUSED, why.encode()))
            return "refused"
        await self._mailbox.say_alive(queue_of(model, version), self._deadline)
        await self._mailbox.reply(wanted.replies, Reply(batch, Kind.BEGUN))
        try:
            reading = await self._embedder.read(model, wanted.texts, lambda _: None)
        except MeshError as error:
            await self._mailbox.reply(wanted.replies, Reply(batch, Kind.FAILED, error.message.encode()))
            return "failed"
        await self._mailbox.reply(wanted.replies, Reply(batch, Kind.READ, packed_reading(reading)))
        return "read"


@asynccontextmanager
async def open_desk(settings: SearchSettings, versions: Mapping[str, str]) -> AsyncIterator[Desk]:
    """A desk for as long as the block lasts. Valkey may be down."""
    async with AsyncExitStack() as stack:
        embedder = await stack.enter_async_context(open_embedder(settings, PROVIDERS))
        mailbox = await stack.enter_async_context(open_mailbox(settings.redis_url, _CONNECTIONS))
        yield Desk(embedder, mailbox, versions, settings.embedding_deadline)

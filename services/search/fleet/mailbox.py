"""What search and its workers leave for each other in Valkey. Everything there ends by itself."""

import math
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from mesh.redis_client import TROUBLE, open_redis
from services.search.fleet.wire import Reply, packed_reply

PREFIX = "gaji:embedding:"
REDIS_SECONDS = 3.0
"""After so long without an answer Valkey counts as down."""
KEPT_SECONDS = 300
"""How long a batch waits for a worker, and a reply for the search that asked; both are long gone by then."""
_LISTEN_SECONDS = 1.0

T = TypeVar("T")


class MailboxError(Exception):
    """Valkey does not answer, or not in time."""


class Mailbox:
    """Keys ``gaji:embedding:*``.

    A batch is a value under its id, which search takes away when it no longer wants it: what Celery's queue holds are
    ids, and an id without a value is work that nobody waits for. Replies are a list for each process of search.

    Args:
        client: a ``redis.asyncio.Redis``, which only `mesh.redis_client` names.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    async def put(self, batch: str, data: bytes) -> None:
        """Leaves a batch for workers."""
        await _answer(self._client.set(_batch(batch), data, ex=KEPT_SECONDS))

    async def take(self, batch: str) -> bytes | None:
        """A batch, which stays there: the worker may die over it. None: nobody wants it any more."""
        found: bytes | None = await _answer(self._client.get(_batch(batch)))
        return found

    async def drop(self, batch: str) -> None:
        """Takes a batch away."""
        await _answer(self._client.delete(_batch(batch)))

    async def reply(self, replies: str, reply: Reply) -> None:
        """Tells search what became of a batch."""
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.rpush(replies, packed_reply(reply))
            pipe.expire(replies, KEPT_SECONDS)
            await _answer(pipe.execute())

    async def next_reply(self, replies: str) -> bytes | None:
        """The oldest reply; None: none came for a second."""
        found = await _answer(self._client.blpop([replies], timeout=_LISTEN_SECONDS))
        return None if found is None else found[1]

    async def say_alive(self, queue: str, seconds: float) -> None:
        """Tells everybody that batches of a queue are read, for so many seconds."""
        await _answer(self._client.set(_alive(queue), b"", ex=math.ceil(seconds)))

    async def alive(self, queue: str) -> bool:
        """Whether a worker began with a batch of the queue of late."""
        return bool(await _answer(self._client.exists(_alive(queue))))

    async def queued(self, queue: str) -> int:
        """How many batches wait in Celery's queue."""
        return int(await _answer(self._client.llen(f"{PREFIX}{queue}")))


@asynccontextmanager
async def open_mailbox(url: str, connections: int) -> AsyncIterator[Mailbox]:
    """A mailbox for as long as the block lasts. Does not connect yet."""
    async with open_redis(url, timeout=REDIS_SECONDS, connections=connections, name="gaji-embedding") as client:
        yield Mailbox(client)


def replies_of(process: str) -> str:
    """The list of replies to a process."""
    return f"{PREFIX}replies:{process}"


def _batch(batch: str) -> str:
    return f"{PREFIX}batch:{batch}"


def _alive(queue: str) -> str:
    return f"{PREFIX}alive:{queue}"


async def _answer(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except TROUBLE as error:
        raise MailboxError(f"Valkey does not answer: {error}") from error

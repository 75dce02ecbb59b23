"""Logs in Redis (7 or later) or Valkey."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from mesh.errors import PEER, Unavailable
from mesh.streamlog import scripts
from mesh.streamlog.stream import Codec, Entry
from mesh.telemetry.logs import get_logger
from mesh.telemetry.spans.stores import REDIS, asked

log = get_logger(__name__)
T = TypeVar("T")
TROUBLE = (RedisError, OSError, TimeoutError)
_GIVEN_BACK = -1e6  # a lease that ends at 0, not a second ago
_GRACE_SECONDS = 1.5  # more than a producer waits before it tries again
_DIGESTS = {script: hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest() for script in scripts.ALL}
# Not READ: who follows a log reads it at each piece of news.
_OPERATIONS = {
    scripts.OPEN: "log.open",
    scripts.STOP: "log.stop",
    scripts.RELEASE: "log.release",
}


class FencedError(Exception):
    """A later epoch holds the log: whoever gets this has lost it for good.

    Args:
        epoch: the epoch that holds it.
    """

    def __init__(self, epoch: int) -> None:
        super().__init__(f"epoch {epoch} holds the log")
        self.epoch = epoch


@dataclass(frozen=True, slots=True)
class LogState:
    """How a log stands.

    Attributes:
        epoch: who holds it.
        sequence: of its last entry.
        end: how it has ended; empty: it has not.
        lease_left: seconds until its producer counts as dead; 0 or less: it does.
        stop: whether it was asked to stop.
    """

    epoch: int
    sequence: int
    end: str
    lease_left: float
    stop: bool


class Taken(NamedTuple):
    """What became of an append.

    Attributes:
        word: ``b"ok"``, ``b"behind"``, ``b"fenced"`` or ``b"broken"`` (its events are none that can be written).
        stop: whether a stop was asked for.
        followed: whether another process follows the log.
    """

    word: bytes
    stop: bool = False
    followed: bool = False


_TAKEN = {
    b"ok": Taken(b"ok"),
    b"ok stop": Taken(b"ok", stop=True),
    b"ok followed": Taken(b"ok", followed=True),
    b"ok stop followed": Taken(b"ok", stop=True, followed=True),
    b"behind": Taken(b"behind"),
    b"fenced": Taken(b"fenced"),
}


@dataclass(slots=True)
class Append(Generic[T]):
    """What is to be written of one log.

    Attributes:
        stream_id: the log.
        epoch: the writer's.
        base: the sequence before the first entry.
        entries: what comes after it, all of one epoch, and an end at most at the last; none: the lease is renewed.
        notes: facts to be kept beside the log.
        reset: if not empty, the entries replace all that Redis has, unless a reset of this mark has done so before.
    """

    stream_id: UUID
    epoch: int
    base: int
    entries: Sequence[Entry[T]]
    notes: Mapping[str, bytes]
    reset: str


class RedisLog(Generic[T]):
    """The operations on logs.

    Args:
        redis: a client without retries of its own.
        codec: events as bytes.
        timeout: seconds that an operation may take.
        lease_seconds: how long a producer may be silent.
        ttl_seconds: how long a log is kept after its end.
    """

    # A log without an end is kept for long: its producer may be dead, but its reader is still owed the rest.
    LIVE_SECONDS = 24 * 3600

    def __init__(
        self, redis: Redis, codec: Codec[T], *, timeout: float, lease_seconds: float, ttl_seconds: float
    ) -> None:
        self._redis = redis
        self._codec = codec
        self._timeout = timeout
        self._lease_ms = round(lease_seconds * 1000)
        self._ttl_ms = round(ttl_seconds * 1000)
        self._trouble_at = float("-inf")

    def trouble(self) -> None:
        """Redis did not answer: for a while nobody's silence means anything, since producers could not renew leases."""
        self._trouble_at = time.monotonic()

    async def open(
        self, stream_id: UUID, epoch: int, mode: Literal["restart", "keep"]
    ) -> tuple[list[Entry[T]], dict[str, bytes]]:
        """Takes a log under an epoch; answers the entries and notes that earlier epochs left.

        Args:
            stream_id: the log.
            epoch: the writer's.
            mode: what becomes of what earlier epochs left; see `mesh.streamlog.scripts.OPEN`.

        Raises:
            FencedError: a later epoch holds it.
            Unavailable: Redis does not answer.
        """
        arguments = (epoch, self._lease_ms, self.LIVE_SECONDS * 1000, mode, stream_id.hex)
        found = await self._run(scripts.OPEN, stream_id, *arguments)
        if found[0] == b"fenced":
            raise FencedError(found[1])
        notes = found[1]
        pairs = notes.items() if isinstance(notes, dict) else zip(notes[::2], notes[1::2], strict=True)
        return self._entries(found[2]), {name.decode(): value for name, value in pairs}

    async def append(self, appends: Sequence[Append[T]]) -> list[Taken | None]:
        """Writes to many logs by one script, during which Redis serves nobody else: entries must be bounded in number.

        Returns:
            What became of each; None where it must be tried again.

        Raises:
            Unavailable: Redis does not answer.
        """
        arguments: list[Any] = [self._lease_ms, self.LIVE_SECONDS * 1000, self._ttl_ms]
        broken = set()
        for append in appends:
            try:
                arguments += self._arguments(append)
            except (ValueError, TypeError):
                log.exception("an event cannot be written", extra={"stream": str(append.stream_id)})
                broken.add(append.stream_id)
        answers = iter(await self._evaluated(scripts.APPEND, (), arguments) if len(broken) < len(appends) else ())
        return [Taken(b"broken") if append.stream_id in broken else _taken(next(answers)) for append in appends]

    async def read(self, stream_id: UUID, first: int | None) -> tuple[LogState, list[Entry[T]]] | None:
        """A log's state and its entries from a sequence on; None: there is no such log.

        Args:
            stream_id: the log.
            first: the sequence; None: no entries are wanted.

        Raises:
            Unavailable: Redis does not answer.
        """
        found = await self._run(scripts.READ, stream_id, "" if first is None else first, stream_id.hex)
        if not found:
            return None
        epoch, sequence, end, left, stop, raw = found
        entries = self._entries(raw)
        if first is not None and sequence >= first and (not entries or entries[0].sequence != first):
            return None  # evicted under memory pressure: a log that is not whole is none
        return LogState(epoch, sequence, end.decode(), self._lease_left(left / 1000), stop == b"1"), entries

    async def note(self, stream_id: UUID, name: str) -> bytes | None:
        """A note beside a log; None: there is none.

        Raises:
            Unavailable: Redis does not answer.
        """
        found: bytes | None = await self._answered(self._redis.hget(names(stream_id)[2], name))
        return found

    async def stop(self, stream_id: UUID) -> bool:
        """Asks the producer to stop; False: there is no such log, or it has ended.

        Raises:
            Unavailable: Redis does not answer.
        """
        return bool(await self._run(scripts.STOP, stream_id, stream_id.hex))

    async def release(self, stream_id: UUID, epoch: int) -> None:
        """Ends the lease of an epoch, if it is the log's.

        Raises:
            Unavailable: Redis does not answer.
        """
        await self._run(scripts.RELEASE, stream_id, epoch)

    def _lease_left(self, left: float) -> float:
        """A lease that has run out counts for a little longer after trouble; one that was given back never does."""
        if left > 0 or left < _GIVEN_BACK:
            return left
        grace = max(_GRACE_SECONDS, self._lease_ms / 2000)
        return max(left, self._trouble_at + grace - time.monotonic())

    def _arguments(self, append: Append[T]) -> list[Any]:
        notes, entries, dumps = append.notes, append.entries, self._codec.dumps
        epoch, end = (entries[0].epoch, entries[-1].end) if entries else (0, "")
        arguments: list[Any] = [append.stream_id.hex, append.epoch, append.base, append.reset, epoch, end]
        arguments += (2 * len(notes), len(entries))
        for note in notes.items():
            arguments += note
        arguments += [dumps(entry.event) for entry in entries]
        return arguments

    def _entries(self, found: Any) -> list[Entry[T]]:
        return [
            Entry(int(fields[1]), int(entry_id.partition(b"-")[0]), self._codec.loads(fields[3]), fields[5].decode())
            for entry_id, fields in found
        ]

    async def _run(self, script: str, stream_id: UUID, *arguments: Any) -> Any:
        operation = _OPERATIONS.get(script)
        with asked(REDIS, operation) if operation else nullcontext():
            return await self._evaluated(script, names(stream_id), arguments)

    async def _evaluated(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        try:
            return await self._answered(self._redis.evalsha(_DIGESTS[script], len(keys), *keys, *arguments))
        except NoScriptError:
            return await self._answered(self._redis.eval(script, len(keys), *keys, *arguments))

    async def _answered(self, command: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(self._timeout):
                return await command
        except NoScriptError:
            raise
        except TROUBLE as error:
            self.trouble()
            raise unavailable() from error


def _taken(answer: bytes) -> Taken | None:
    taken = _TAKEN.get(answer)
    if taken is None:
        log.error("Redis refuses to take entries of a log", extra={"error": answer.decode(errors="replace")})
    return taken


def names(stream_id: UUID) -> tuple[str, str, str]:
    """The keys of a log: entries, state and notes. The braces keep them in one slot of a cluster."""
    return (
        f"gaji:log:{{{stream_id.hex}}}:entries",
        f"gaji:log:{{{stream_id.hex}}}:state",
        f"gaji:log:{{{stream_id.hex}}}:notes",
    )


def unavailable() -> Unavailable:
    """Redis does not answer."""
    return Unavailable(
        "the log of streams does not answer; try again",
        reason="LOG_UNAVAILABLE",
        retry_after=1.0,
        metadata={PEER: "redis"},
    )

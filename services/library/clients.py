"""The library's peers: search, cache and jobs, over gRPC."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import grpc
from gaji.cache.v1 import cache_service_pb2 as cache_pb
from gaji.cache.v1 import cache_service_pb2_grpc as cache_rpc
from gaji.jobs.v1 import job_service_pb2 as jobs_pb
from gaji.jobs.v1 import job_service_pb2_grpc as jobs_rpc
from gaji.search.v1 import search_service_pb2 as search_pb
from gaji.search.v1 import search_service_pb2_grpc as search_rpc

from mesh import deadlines, plain_text
from mesh.errors import MeshError, NotFound, translated
from mesh.read_through import CacheContended, CacheHit, CacheLease, ReadThrough
from mesh.streams import opened
from mesh.telemetry.logs import get_logger
from services.library.models import (
    Character,
    CharacterEdit,
    CharacterEdits,
    IngestionSummary,
    Novel,
    Progress,
    StoredPassage,
    Visibility,
)

log = get_logger(__name__)

_REMOVE_SECONDS = 5.0
_CACHE_SECONDS = 0.5
_ENQUEUE_SECONDS = 1.0
_RETRY_SECONDS = (0.2, 5.0)
_KEYS = 1000
_MOST_OUTSTANDING = 100_000
_NAME, _DESCRIPTION = 200, 4_000


class GrpcSearch:
    """The port `Search`. All of it raises the `MeshError` that search answers with, or Unavailable."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = search_rpc.SearchServiceStub(channel)

    async def ingest(
        self, novel: Novel, text: str, timeout: float
    ) -> AsyncGenerator[Progress | IngestionSummary, None]:
        """Ingests a novel; the summary comes last."""
        request = search_pb.IngestNovelRequest(
            novel_id=str(novel.novel_id),
            owner_id=str(novel.owner_id),
            public=novel.visibility is Visibility.PUBLIC,
            title=novel.title,
            author=novel.author,
            language=novel.language,
            text=text,
        )
        with translated("search"):
            async with opened(self._stub.IngestNovel(request, timeout=timeout)) as events:
                async for event in events:
                    if event.WhichOneof("event") == "progress":
                        told = event.progress
                        left = told.remaining_seconds if told.HasField("remaining_seconds") else None
                        yield Progress(told.progress, told.stage, told.message, left)
                    elif event.WhichOneof("event") == "complete":
                        done = event.complete
                        yield IngestionSummary(
                            done.language,
                            done.words,
                            done.chapters,
                            done.passages,
                            done.characters,
                            [_stored(passage) for passage in done.default_passages],
                            [_character(each) for each in done.found_characters],
                        )

    async def find_passages(
        self, novel_id: UUID, query: str, top_k: int, until_chapter: int | None, timeout: float
    ) -> Sequence[StoredPassage]:
        """The passages that fit a query, best first."""
        request = search_pb.SearchPassagesRequest(
            novel_id=str(novel_id), query=query, top_k=top_k, until_chapter=until_chapter
        )
        with translated("search"):
            response = await self._stub.SearchPassages(request, timeout=timeout)
        return [_stored(passage) for passage in response.passages]

    async def known_passages(
        self, novel_id: UUID, passage_ids: Sequence[UUID], until_chapter: int | None
    ) -> Sequence[StoredPassage]:
        """Those of the passages that the novel has."""
        request = search_pb.GetPassagesRequest(
            novel_id=str(novel_id), passage_ids=map(str, passage_ids), until_chapter=until_chapter
        )
        with translated("search"):
            response = await self._stub.GetPassages(request)
        return [_stored(passage) for passage in response.passages]

    async def default_passages(self, novel_id: UUID, title: str, most: int) -> Sequence[StoredPassage]:
        """Passages of a novel that show its main characters, in its order; of one without any, those near its title."""
        with translated("search"):
            characters = await self._stub.ListCharacters(
                search_pb.ListCharactersRequest(novel_id=str(novel_id), page_size=most)
            )
            # The best of each character first.
            longest = max((len(one.passage_ids) for one in characters.characters), default=0)
            ids = [
                one.passage_ids[rank]
                for rank in range(longest)
                for one in characters.characters
                if rank < len(one.passage_ids)
            ]
            if ids:
                response = await self._stub.GetPassages(
                    search_pb.GetPassagesRequest(novel_id=str(novel_id), passage_ids=list(dict.fromkeys(ids))[:most])
                )
                found = response.passages
            else:
                request = search_pb.SearchPassagesRequest(novel_id=str(novel_id), query=title, top_k=most)
                found = (await self._stub.SearchPassages(request)).passages
        return [_stored(passage) for passage in sorted(found, key=lambda passage: passage.position)]

    async def character(self, character_id: UUID, timeout: float, until_chapter: int | None = None) -> Character | None:
        """A character of a novel that the caller sees; as the chapters up to a limit show them, where there is one."""
        request = search_pb.GetCharacterRequest(character_id=str(character_id), until_chapter=until_chapter)
        try:
            with translated("search"):
                response = await self._stub.GetCharacter(request, timeout=timeout)
        except NotFound:
            return None
        return _character(response.character)

    async def characters(self, novel_id: UUID, most: int) -> Sequence[Character]:
        """The characters of a novel as the book has them, most important first."""
        request = search_pb.ListCharactersRequest(novel_id=str(novel_id), page_size=most, as_found=True)
        with translated("search"):
            response = await self._stub.ListCharacters(request)
        return [_character(found) for found in response.characters]

    async def set_character_edits(self, edits: CharacterEdits, timeout: float) -> None:
        """Takes over all that is changed about a novel's characters; idempotent."""
        request = search_pb.SetCharacterEditsRequest(
            novel_id=str(edits.novel_id), revision=edits.revision, edits=map(_edit, edits.edits)
        )
        with translated("search"):
            await self._stub.SetCharacterEdits(request, timeout=timeout)

    async def delete_novel(self, novel_id: UUID) -> None:
        """Removes a novel's passages and characters; idempotent."""
        with translated("search"):
            await self._stub.DeleteNovel(search_pb.DeleteNovelRequest(novel_id=str(novel_id)), timeout=_REMOVE_SECONDS)


def _character(found: search_pb.Character) -> Character:
    # Both are cut out of somebody's novel and go into prompts; search makes them shorter than this.
    name = plain_text.line(found.name.replace("\0", ""))[:_NAME]
    description = plain_text.text(found.description.replace("\0", ""))[:_DESCRIPTION]
    samples = [
        StoredPassage(UUID(sample.passage_id), plain_text.line(sample.content.replace("\0", "")), sample.chapter)
        for sample in found.speech_samples
    ]
    return Character(UUID(found.character_id), UUID(found.novel_id), name, description, found.first_chapter, samples)


def _edit(edit: CharacterEdit) -> search_pb.CharacterEdit:
    return search_pb.CharacterEdit(
        character_id=str(edit.character_id),
        name=edit.name,
        aliases=None if edit.aliases is None else search_pb.Aliases(names=edit.aliases),
        description=edit.description,
        hidden=edit.hidden,
        merged_into_id=str(edit.merged_into or ""),
    )


def _stored(passage: search_pb.Passage) -> StoredPassage:
    title = plain_text.line(passage.chapter_title.replace("\0", ""))[:_NAME]
    return StoredPassage(UUID(passage.id), passage.content.replace("\0", ""), passage.chapter, title, passage.position)


class GrpcCache:
    """The cache room's calls, for `mesh.read_through`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = cache_rpc.CacheServiceStub(channel)

    async def lookup(self, key: str, wait_ms: int) -> CacheHit | CacheLease | CacheContended:
        """Finds the value or grants the lease."""
        with translated("cache"):
            found = await self._stub.Lookup(
                cache_pb.LookupRequest(key=key, wait_ms=wait_ms), timeout=_CACHE_SECONDS + wait_ms / 1000
            )
        if found.WhichOneof("result") == "hit":
            return CacheHit(found.hit.value)
        if found.WhichOneof("result") == "lease":
            return CacheLease(found.lease.lease_id)
        return CacheContended()

    async def store(self, key: str, lease_id: str, value: bytes) -> None:
        """Stores the value under the lease."""
        with translated("cache"):
            await self._stub.Store(
                cache_pb.StoreRequest(key=key, lease_id=lease_id, value=value), timeout=_CACHE_SECONDS
            )

    async def release(self, key: str, lease_id: str) -> None:
        """Gives the lease back."""
        with translated("cache"):
            await self._stub.Release(cache_pb.ReleaseRequest(key=key, lease_id=lease_id), timeout=_CACHE_SECONDS)

    async def invalidate(self, keys: Sequence[str]) -> None:
        """Removes values and voids leases."""
        with translated("cache"):
            await self._stub.Invalidate(cache_pb.InvalidateRequest(keys=keys), timeout=_CACHE_SECONDS)


class LibraryCache:
    """The port `Cache`: reads through, and makes sure that an invalidation arrives in the end.

    While one is outstanding (the cache is down), its key is read past the cache, and the invalidation is tried again in
    the background: other replicas may see the old value until it arrives, at most for the key's time to live.
    """

    def __init__(self, cache: GrpcCache) -> None:
        self._cache = cache
        self._reads = ReadThrough(cache)
        self._outstanding: dict[str, int] = {}
        self._behind = False  # whether an invalidation has failed and the background sends what is outstanding
        self._work = asyncio.Event()

    async def get(self, key: str, compute: Callable[[], Awaitable[bytes]]) -> bytes:
        """The value of a key, computed when it is not there."""
        return await (compute() if key in self._outstanding else self._reads.get(key, compute))

    async def invalidate(self, keys: Sequence[str]) -> None:
        """Removes values after a write."""
        # Noted first: a caller that is cancelled here has written all the same.
        for key in keys:
            self._outstanding[key] = self._outstanding.get(key, 0) + 1
        if (more := len(self._outstanding) - _MOST_OUTSTANDING) > 0:
            log.error(
                "too many invalidations are outstanding: values may be stale until they expire", extra={"n": more}
            )
            for key in list(self._outstanding)[:more]:
                del self._outstanding[key]
        self._reads.forget(*keys)
        self._work.set()
        if self._behind:  # a cache that did not answer the last one would only hold this write up as well
            return
        try:
            await self._send({key: self._outstanding[key] for key in keys if key in self._outstanding})
        except MeshError as error:
            self._behind = True
            log.warning("an invalidation is sent later", extra={"keys": list(keys)[:10], "reason": error.reason})

    async def resend(self) -> None:
        """Sends what is outstanding again, until cancelled."""
        shortest, longest = _RETRY_SECONDS
        delay = shortest
        while True:
            await self._work.wait()
            await asyncio.sleep(delay)
            try:
                while self._outstanding:
                    await self._send(dict(list(self._outstanding.items())[:_KEYS]))
                self._work.clear()
                self._behind = False
                delay = shortest
            except MeshError:
                self._behind = True
                delay = min(delay * 2, longest)

    async def _send(self, versions: dict[str, int]) -> None:
        with deadlines.scope(None):  # the write is done: its caller's haste must not leave a stale value
            await self._cache.invalidate(list(versions))
        for key, version in versions.items():
            if self._outstanding.get(key) == version:  # not written again meanwhile
                del self._outstanding[key]


@asynccontextmanager
async def open_cache(channel: grpc.aio.Channel) -> AsyncIterator[LibraryCache]:
    """The cache, with the task that sends late invalidations."""
    cache = LibraryCache(GrpcCache(channel))
    task = asyncio.create_task(cache.resend(), name="invalidations")
    try:
        yield cache
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class GrpcJobs:
    """The port `Jobs`: each job is put into its queue by a task, for which nobody waits but the end of the process."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = jobs_rpc.JobServiceStub(channel)
        self._tasks: set[asyncio.Task[None]] = set()  # for a second each, after a call that was answered

    def finish_reply(self, message_id: UUID) -> None:
        """Has a reply written to its end."""
        self._send(jobs_pb.EnqueueRequest(finish_reply=jobs_pb.FinishReplyJob(message_id=str(message_id))))

    def ingest_novel(self, novel_id: UUID) -> None:
        """Has a novel ingested."""
        self._send(jobs_pb.EnqueueRequest(ingest_novel=jobs_pb.IngestNovelJob(novel_id=str(novel_id))))

    async def settled(self) -> None:
        """Returns when all jobs are in their queues, or are left to be swept up."""
        await asyncio.gather(*self._tasks)

    def _send(self, request: jobs_pb.EnqueueRequest) -> None:
        with deadlines.scope(None):  # it outlives the call that it comes from
            task = asyncio.create_task(self._enqueue(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _enqueue(self, request: jobs_pb.EnqueueRequest) -> None:
        try:
            with translated("jobs"):
                await self._stub.Enqueue(request, timeout=_ENQUEUE_SECONDS)
        except MeshError as error:
            log.warning(
                "a job is left to be swept up", extra={"job": request.WhichOneof("job"), "reason": error.reason}
            )


@asynccontextmanager
async def open_jobs(channel: grpc.aio.Channel) -> AsyncIterator[GrpcJobs]:
    """The queues; on leaving, what is on its way into one arrives or fails first, within a second."""
    jobs = GrpcJobs(channel)
    try:
        yield jobs
    finally:
        await jobs.settled()

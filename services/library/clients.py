"""The library's peers search and jobs, over gRPC."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import grpc
from gaji.jobs.v1 import job_service_pb2 as jobs_pb
from gaji.jobs.v1 import job_service_pb2_grpc as jobs_rpc
from gaji.search.v1 import search_service_pb2 as search_pb
from gaji.search.v1 import search_service_pb2_grpc as search_rpc

from mesh import deadlines, plain_text
from mesh.errors import MeshError, NotFound, translated
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
_ENQUEUE_SECONDS = 1.0
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

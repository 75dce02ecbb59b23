"""Novels."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from gaji.library.v1 import novel_service_pb2 as pb
from gaji.library.v1 import novel_service_pb2_grpc as rpc

from mesh.interceptors.pipeline import Context
from mesh.limiter import waits
from services.library.domain.control import IngestionControl
from services.library.domain.editing import CharacterChange, Editing
from services.library.domain.ingestion import Ingestions
from services.library.domain.manuscripts import Submission
from services.library.domain.novels import Novels
from services.library.domain.watching import Gap, Watching
from services.library.models import Novel, Progress
from services.library.servicer import wire


class NovelServicer(rpc.NovelServiceServicer):
    """`gaji.library.v1.NovelService`."""

    def __init__(
        self,
        novels: Novels,
        ingestions: Ingestions,
        watching: Watching,
        control: IngestionControl,
        editing: Editing,
    ) -> None:
        self._editing = editing
        self._novels = novels
        self._control = control
        self._ingestions = ingestions
        self._watching = watching

    async def CreateNovel(self, request: pb.CreateNovelRequest, context: Context) -> pb.CreateNovelResponse:
        novel = await self._novels.create(
            wire.caller(),
            Submission(request.title, request.author, request.language, request.text, request.file, request.file_name),
            visibility=wire.read_visibility(request.visibility),
            request_id=request.request_id,
        )
        return pb.CreateNovelResponse(novel_id=str(novel.novel_id), status=wire.ingestion_status(novel.status))

    async def GetNovel(self, request: pb.GetNovelRequest, context: Context) -> pb.GetNovelResponse:
        user_id = wire.caller()
        (novel_id,) = wire.uuids(novel_id=request.novel_id)
        return pb.GetNovelResponse(novel=wire.novel(await self._novels.get(user_id, novel_id)))

    async def ListNovels(self, request: pb.ListNovelsRequest, context: Context) -> pb.ListNovelsResponse:
        page = await self._novels.page(wire.caller(), request.page_size, request.page_token)
        return pb.ListNovelsResponse(novels=map(wire.novel, page.items), next_page_token=page.next_token)

    async def UpdateNovel(self, request: pb.UpdateNovelRequest, context: Context) -> pb.UpdateNovelResponse:
        user_id = wire.caller()
        (novel_id,) = wire.uuids(novel_id=request.novel_id)
        novel = await self._novels.update(
            user_id,
            novel_id,
            title=request.title if request.HasField("title") else None,
            author=request.author if request.HasField("author") else None,
        )
        return pb.UpdateNovelResponse(novel=wire.novel(novel))

    async def UpdateCharacter(self, request: pb.UpdateCharacterRequest, context: Context) -> pb.UpdateCharacterResponse:
        user_id = wire.caller()
        (character_id,) = wire.uuids(character_id=request.character_id)
        edited = await self._editing.change(
            user_id,
            character_id,
            CharacterChange(
                name=request.name if request.HasField("name") else None,
                aliases=list(request.aliases.names) if request.HasField("aliases") else None,
                description=request.description if request.HasField("description") else None,
                hidden=request.hidden if request.HasField("hidden") else None,
                merged_into_id=request.merged_into_id if request.HasField("merged_into_id") else None,
                reset=request.reset,
            ),
        )
        return pb.UpdateCharacterResponse(character=wire.edited_character(edited))

    async def DeleteNovel(self, request: pb.DeleteNovelRequest, context: Context) -> pb.DeleteNovelResponse:
        user_id = wire.caller()
        (novel_id,) = wire.uuids(novel_id=request.novel_id)
        await self._novels.delete(user_id, novel_id)
        return pb.DeleteNovelResponse()

    async def WatchIngestion(
        self, request: pb.WatchIngestionRequest, context: Context
    ) -> AsyncGenerator[pb.WatchIngestionResponse, None]:
        user_id = wire.caller()
        (novel_id,) = wire.uuids(novel_id=request.novel_id)
        async with aclosing(self._watching.watch(user_id, novel_id, request.after)) as events:
            async for told in events:
                response = pb.WatchIngestionResponse(sequence=told.sequence, cursor=str(told.cursor or ""))
                if isinstance(told.event, Progress):
                    response.progress.CopyFrom(wire.progress(told.event))
                elif isinstance(told.event, Novel):
                    response.complete.CopyFrom(wire.novel(told.event))
                elif isinstance(told.event, Gap):
                    response.gap.CopyFrom(wire.gap(told.event))
                else:
                    response.failed.CopyFrom(wire.failure(told.event))
                yield response

    async def CancelIngestion(self, request: pb.CancelIngestionRequest, context: Context) -> pb.CancelIngestionResponse:
        user_id = wire.caller()
        (novel_id,) = wire.uuids(novel_id=request.novel_id)
        return pb.CancelIngestionResponse(novel=wire.novel(await self._control.cancel(user_id, novel_id)))

    async def ReingestNovel(self, request: pb.ReingestNovelRequest, context: Context) -> pb.ReingestNovelResponse:
        user_id = wire.caller()
        (novel_id,) = wire.uuids(novel_id=request.novel_id)
        return pb.ReingestNovelResponse(novel=wire.novel(await self._control.repeat(user_id, novel_id)))

    async def RunIngestion(self, request: pb.RunIngestionRequest, context: Context) -> pb.RunIngestionResponse:
        (novel_id,) = wire.uuids(novel_id=request.novel_id)
        waits()  # for a whole ingestion
        return pb.RunIngestionResponse(status=wire.ingestion_status(await self._ingestions.run(novel_id)))

    async def ListWaitingNovels(
        self, request: pb.ListWaitingNovelsRequest, context: Context
    ) -> pb.ListWaitingNovelsResponse:
        found = await self._ingestions.waiting(request.limit)
        return pb.ListWaitingNovelsResponse(novel_ids=map(str, found))

    async def AbandonIngestion(
        self, request: pb.AbandonIngestionRequest, context: Context
    ) -> pb.AbandonIngestionResponse:
        (novel_id,) = wire.uuids(novel_id=request.novel_id)
        await self._ingestions.abandon(novel_id, wire.read_failure(request.failure))
        return pb.AbandonIngestionResponse()

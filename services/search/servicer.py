"""SearchService: proto to domain and back."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict
from functools import partial
from typing import Any, TypeAlias

import grpc
from gaji.gateway.v1 import stream_events_pb2 as events_pb
from gaji.search.v1 import search_service_pb2 as pb
from gaji.search.v1 import search_service_pb2_grpc as rpc

from mesh import identity
from mesh.errors import MeshError, NotFound
from mesh.pages import decode_token, encode_token, page_size
from mesh.read_through import AbsentError, always
from mesh.telemetry.logs import get_logger, log_texts
from mesh.validation import Violations
from services.search.advised import AdvisedAnswers
from services.search.clients import Answers, character_key
from services.search.domain import languages
from services.search.domain.around import MOST_AROUND, Around, Stretch
from services.search.domain.contents import Tables
from services.search.domain.ingestion import Ingestions
from services.search.domain.limited import LimitedCharacters, beyond_limit
from services.search.domain.searching import Searching, answer_key, character_not_found, check_owner
from services.search.edited import edited, edits_of, listed
from services.search.found_answers import FoundAnswers
from services.search.metrics import INGESTIONS, PASSAGES_INGESTED, SEARCH_SECONDS
from services.search.models import Character, Edits, Found, Ingested, Manuscript, Novel, Passage, Progress

MAX_TEXT_BYTES = 8 * 1024 * 1024
log = get_logger(__name__)

MAX_QUERY = 4_000
DEFAULT_TOP_K = 10
MAX_TOP_K = 50
MAX_PASSAGE_IDS = 100
DEFAULT_AROUND = 3
MAX_EDITS = 1_000
MAX_RANK_DIGITS = 6
GENERATION_BYTES = 8

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class SearchServicer(rpc.SearchServiceServicer):
    """Serves `Searching`, `Ingestions`, `Around`, `LimitedCharacters` and `Tables`, answers through the cache."""

    def __init__(
        self,
        searching: Searching,
        ingestions: Ingestions,
        answers: Answers,
        around: Around,
        limited: LimitedCharacters,
        *,
        tables: Tables,
        advised: AdvisedAnswers | None = None,
    ) -> None:
        self._searching = searching
        self._ingestions = ingestions
        self._answers = answers
        self._around = around
        self._limited = limited
        self._tables = tables
        self._found = FoundAnswers(searching, answers, advised)

    async def IngestNovel(
        self, request: pb.IngestNovelRequest, context: _Context
    ) -> AsyncGenerator[pb.IngestNovelResponse, None]:
        manuscript = _manuscript(request)
        check_owner(manuscript.owner_id, _user_id())
        await self._searching.check_owner(manuscript.novel_id, _user_id())
        sequence, result = 0, "aborted"
        try:
            async with aclosing(self._ingestions.ingest(manuscript)) as events:
                async for event in events:
                    sequence += 1
                    if isinstance(event, Ingested):
                        result = "complete"
                        PASSAGES_INGESTED.inc(event.novel.passages)
                    yield _ingestion_event(sequence, event)
        except MeshError:
            result = "failed"
            raise
        finally:
            INGESTIONS.labels(result).inc()

    async def SearchPassages(self, request: pb.SearchPassagesRequest, context: _Context) -> pb.SearchPassagesResponse:
        check = Violations()
        check.uuid("novel_id", request.novel_id)
        query = request.query.strip()
        check.text("query", query, 1, MAX_QUERY)
        top_k = request.top_k if request.HasField("top_k") else DEFAULT_TOP_K
        check.range("top_k", top_k, 1, MAX_TOP_K)
        until_chapter = _until_chapter(check, request)
        check.raise_if_any()
        log_texts(log, "a search", novel_id=request.novel_id, query=query)
        with SEARCH_SECONDS.time():
            novel = await self._searching.novel(request.novel_id, _user_id())
            pack = partial(_packed_passages, novel.id)
            answer = await self._found.get(novel, query, top_k=top_k, until_chapter=until_chapter, pack=pack)
            return pb.SearchPassagesResponse.FromString(answer)

    async def GetPassages(self, request: pb.GetPassagesRequest, context: _Context) -> pb.GetPassagesResponse:
        check = Violations()
        check.uuid("novel_id", request.novel_id)
        count = len(request.passage_ids)
        if not 1 <= count <= MAX_PASSAGE_IDS:
            check.add("passage_ids", f"has {count} ids; give 1 to {MAX_PASSAGE_IDS}")
        for passage_id in request.passage_ids:
            check.uuid("passage_ids", passage_id)
        until_chapter = _until_chapter(check, request)
        check.raise_if_any()
        novel = await self._searching.novel(request.novel_id, _user_id())
        passages = await self._searching.passages(novel, request.passage_ids, until_chapter)
        return pb.GetPassagesResponse(passages=[_passage(novel.id, passage) for passage in passages])

    async def ListCharacters(self, request: pb.ListCharactersRequest, context: _Context) -> pb.ListCharactersResponse:
        check = Violations()
        check.uuid("novel_id", request.novel_id)
        size = page_size(check, request.page_size)
        start = _start(check, request)
        until_chapter = _until_chapter(check, request)
        check.raise_if_any()
        novel = await self._searching.novel(request.novel_id, _user_id())
        edits = Edits() if request.as_found else await self._searching.edits(novel.id)
        if until_chapter is not None and until_chapter < novel.chapters:
            everybody = listed(await self._known_by(novel, until_chapter), edits, limited=True)
            shown, more = everybody[start : start + size], start + size < len(everybody)
        elif edits.edits:
            everybody = listed(await self._everybody(novel), edits)
            shown, more = everybody[start : start + size], start + size < len(everybody)
        else:
            found, more = await self._searching.characters(novel, start, size)
            shown = [_character(novel.id, one) for one in found]
        token = encode_token(novel.id, str(start + size)) if more else ""
        return pb.ListCharactersResponse(characters=shown, next_page_token=token)

    async def GetCharacter(self, request: pb.GetCharacterRequest, context: _Context) -> pb.GetCharacterResponse:
        check = Violations()
        check.uuid("character_id", request.character_id)
        until_chapter = _until_chapter(check, request)
        check.raise_if_any()

        async def compute() -> bytes:
            try:
                novel, character = await self._searching.character(request.character_id)
            except NotFound:
                raise AbsentError from None
            return _packed(novel.generation, _character(novel.id, character))

        key = character_key(request.character_id)
        try:
            generation, answer = _unpacked(await self._answers.get(key, compute, always))
            novel = await self._searching.novel(answer.novel_id, _user_id())  # whoever asks: may they see it?
            if generation != novel.generation:  # read in anew while the cache could not be told
                _, answer = _unpacked(await compute())
        except (AbsentError, NotFound):
            raise character_not_found(request.character_id) from None
        edits = await self._searching.edits(novel.id)
        if until_chapter is not None and until_chapter < novel.chapters:
            answer = await self._known_as(novel, request.character_id, until_chapter, edits)
        elif edits.edits:  # also of others, whom relations name
            everybody = edited(await self._everybody(novel), edits)
            answer = next((one for one in everybody if one.character_id == answer.character_id), answer)
        return pb.GetCharacterResponse(character=answer, until_chapter=until_chapter)

    async def DeleteNovel(self, request: pb.DeleteNovelRequest, context: _Context) -> pb.DeleteNovelResponse:
        check = Violations()
        check.uuid("novel_id", request.novel_id)
        check.raise_if_any()
        await self._searching.check_owner(request.novel_id, _user_id())
        await self._ingestions.delete(request.novel_id)
        return pb.DeleteNovelResponse()

    async def ReadAround(self, request: pb.ReadAroundRequest, context: _Context) -> pb.ReadAroundResponse:
        check = Violations()
        check.uuid("novel_id", request.novel_id)
        check.uuid("passage_id", request.passage_id)
        before = request.before if request.HasField("before") else DEFAULT_AROUND
        after = request.after if request.HasField("after") else DEFAULT_AROUND
        check.range("before", before, 0, MOST_AROUND)
        check.range("after", after, 0, MOST_AROUND)
        until_chapter = _until_chapter(check, request)
        check.raise_if_any()
        novel = await self._searching.novel(request.novel_id, _user_id())

        async def compute() -> bytes:
            stretch = await self._around.read(
                novel, request.passage_id, before=before, after=after, until_chapter=until_chapter
            )
            return _stretch(novel.id, stretch).SerializeToString()

        key = answer_key(novel, "around", request.passage_id, before, after, until_chapter)
        return pb.ReadAroundResponse.FromString(await self._answers.get(key, compute, always))

    async def ListChapters(self, request: pb.ListChaptersRequest, context: _Context) -> pb.ListChaptersResponse:
        check = Violations()
        check.uuid("novel_id", request.novel_id)
        until_chapter = _until_chapter(check, request)
        check.raise_if_any()
        novel = await self._searching.novel(request.novel_id, _user_id())

        async def compute() -> bytes:
            chapters = [pb.Chapter(**asdict(chapter)) for chapter in await self._tables.read(novel, None)]
            return pb.ListChaptersResponse(chapters=chapters).SerializeToString()

        # One table for all limits: to read it is to read all rows of the novel, where its index is not in memory.
        table = pb.ListChaptersResponse.FromString(
            await self._answers.get(answer_key(novel, "chapters"), compute, always)
        )
        shown = [one for one in table.chapters if until_chapter is None or one.chapter <= until_chapter]
        return pb.ListChaptersResponse(chapters=shown)

    async def _everybody(self, novel: Novel) -> list[pb.Character]:
        """The characters as they were found."""
        found, _ = await self._searching.characters(novel, 0, novel.characters)
        return [_character(novel.id, one) for one in found]

    async def _known_by(self, novel: Novel, until_chapter: int) -> Sequence[pb.Character]:
        """The characters as the chapters up to a limit show them."""

        async def compute() -> bytes:
            known = await self._limited.of(novel, until_chapter)
            return pb.ListCharactersResponse(
                characters=[_character(novel.id, one) for one in known]
            ).SerializeToString()

        answer = await self._answers.get(answer_key(novel, "characters", until_chapter), compute, always)
        return pb.ListCharactersResponse.FromString(answer).characters

    async def _known_as(self, novel: Novel, character_id: str, until_chapter: int, edits: Edits) -> pb.Character:
        """One of them, with what the novel's owner has changed."""
        if any(edit.merged_into == character_id for edit in edits.edits):
            everybody = edited(await self._known_by(novel, until_chapter), edits, limited=True)
            joined = next((one for one in everybody if one.character_id == character_id), None)
            if joined is None:
                raise beyond_limit(character_id, until_chapter)
            return joined

        async def compute() -> bytes:
            return _character(novel.id, await self._limited.one(novel, character_id, until_chapter)).SerializeToString()

        key = answer_key(novel, "character", character_id, until_chapter)
        answer = pb.Character.FromString(await self._answers.get(key, compute, always))
        return edited([answer], edits, limited=True)[0]

    async def SetCharacterEdits(
        self, request: pb.SetCharacterEditsRequest, context: _Context
    ) -> pb.SetCharacterEditsResponse:
        check = Violations()
        check.uuid("novel_id", request.novel_id)
        if len(request.edits) > MAX_EDITS:
            check.add("edits", f"has {len(request.edits):,} edits; give at most {MAX_EDITS:,}")
        check.raise_if_any()
        await self._searching.check_owner(request.novel_id, _user_id())
        await self._searching.edit(request.novel_id, edits_of(request))
        return pb.SetCharacterEditsResponse()


def _manuscript(request: pb.IngestNovelRequest) -> Manuscript:
    check = Violations()
    check.uuid("novel_id", request.novel_id)
    check.uuid("owner_id", request.owner_id)
    check.text("text", request.text, 1, MAX_TEXT_BYTES)
    if (size := len(request.text.encode())) > MAX_TEXT_BYTES:
        check.add("text", f"has {size:,} bytes of UTF-8; give at most {MAX_TEXT_BYTES:,}")
    if request.language and not languages.is_tag(request.language):
        check.add("language", 'is not a BCP 47 tag, e.g. "en" or "ko"; leave it out to have it found')
    check.raise_if_any()
    return Manuscript(request.novel_id, request.owner_id, request.public, request.language, request.text)


def _user_id() -> str | None:
    caller = identity.current()
    return None if caller is None else caller.user_id


_Limited: TypeAlias = (
    pb.SearchPassagesRequest
    | pb.GetPassagesRequest
    | pb.ListCharactersRequest
    | pb.GetCharacterRequest
    | pb.ReadAroundRequest
    | pb.ListChaptersRequest
)


def _until_chapter(check: Violations, request: _Limited) -> int | None:
    if not request.HasField("until_chapter"):
        return None
    if request.until_chapter < 0:
        check.add("until_chapter", f"is {request.until_chapter}; give 0 or more, or leave it out for no limit")
    return request.until_chapter


def _start(check: Violations, request: pb.ListCharactersRequest) -> int:
    """The rank that the page begins at."""
    parts = decode_token(check, request.page_token, 2)
    if parts is None:
        return 0
    novel_id, rank = parts
    if novel_id != request.novel_id or not rank.isdecimal() or len(rank) > MAX_RANK_DIGITS:
        check.add("page_token", "is not a token of this list; leave it out to begin at the first page")
        return 0
    return int(rank)


def _ingestion_event(sequence: int, event: Progress | Ingested) -> pb.IngestNovelResponse:
    if isinstance(event, Progress):
        progress = events_pb.Progress(
            progress=event.percent,
            stage=event.stage,
            message=event.message,
            remaining_seconds=event.remaining_seconds,
        )
        return pb.IngestNovelResponse(sequence=sequence, progress=progress)
    novel = event.novel
    summary = pb.IngestionSummary(
        novel_id=novel.id,
        language=novel.language,
        words=novel.words,
        chapters=novel.chapters,
        passages=novel.passages,
        characters=novel.characters,
        default_passages=[_passage(novel.id, passage) for passage in event.defaults],
        found_characters=[_character(novel.id, character) for character in event.characters],
    )
    return pb.IngestNovelResponse(sequence=sequence, complete=summary)


def _passage(novel_id: str, passage: Passage) -> pb.Passage:
    return pb.Passage(
        id=passage.id,
        content=passage.content,
        chapter=passage.chapter,
        position=passage.position,
        chapter_title=passage.chapter_title,
        novel_id=novel_id,
        previous_id=passage.previous_id,
        next_id=passage.next_id,
    )


def _stretch(novel_id: str, stretch: Stretch) -> pb.ReadAroundResponse:
    return pb.ReadAroundResponse(
        passages=[_passage(novel_id, passage) for passage in stretch.passages],
        index=stretch.index,
        more_before=stretch.more_before,
        more_after=stretch.more_after,
        until_chapter=stretch.until_chapter,
    )


def _found(novel_id: str, found: Found) -> pb.Passage:
    message = _passage(novel_id, found.passage)
    message.distance = found.distance
    message.score = found.score
    return message


def _packed_passages(novel_id: str, found: Sequence[Found], model: str = "") -> bytes:
    passages = [_found(novel_id, one) for one in found]
    return pb.SearchPassagesResponse(passages=passages, reranked_by=model).SerializeToString()


def _character(novel_id: str, character: Character) -> pb.Character:
    return pb.Character(
        character_id=character.id,
        novel_id=novel_id,
        name=character.name,
        aliases=character.aliases,
        description=character.description,
        mentions=character.mentions,
        first_chapter=character.first_chapter,
        passage_ids=character.passage_ids,
        importance=character.importance,
        alias_chapters=character.alias_chapters,
        relations=[pb.Relation(**asdict(relation)) for relation in character.relations],
        speech_samples=[pb.SpeechSample(**asdict(sample)) for sample in character.samples],
    )


def _packed(generation: int, character: pb.Character) -> bytes:
    """A character for the cache, with the generation that it is of."""
    return generation.to_bytes(GENERATION_BYTES, "big") + character.SerializeToString()


def _unpacked(value: bytes) -> tuple[int, pb.Character]:
    generation = int.from_bytes(value[:GENERATION_BYTES], "big")
    return generation, pb.Character.FromString(value[GENERATION_BYTES:])

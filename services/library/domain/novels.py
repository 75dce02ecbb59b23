"""Novels: a public one is on everybody's shelf, its owner alone changes or deletes it."""

from uuid import UUID, uuid4

from mesh import plain_text
from mesh.errors import InvalidArgument, MeshError
from mesh.pages import page_size
from mesh.telemetry.logs import get_logger
from mesh.validation import Violations
from services.library.domain.errors import not_found, not_owner
from services.library.domain.manuscripts import MAX_AUTHOR, MAX_TITLE, Submission, prepared
from services.library.domain.paging import page, read_key
from services.library.domain.reads import Reads
from services.library.models import NewNovel, Novel, Page, Visibility
from services.library.ports import IngestionStore, Intake, Jobs, NovelStore, Search

log = get_logger(__name__)


class Novels:
    """What readers do with novels.

    Args:
        novels: where they are kept.
        ingestion: how they go into search.
        reads: reads through the cache.
        search: the search room.
        jobs: has them ingested.
        intake: reads files.
        default: who sees a novel whose maker did not say.
    """

    def __init__(
        self,
        novels: NovelStore,
        ingestion: IngestionStore,
        reads: Reads,
        search: Search,
        jobs: Jobs,
        *,
        intake: Intake,
        default: Visibility,
    ) -> None:
        self._novels = novels
        self._ingestion = ingestion
        self._reads = reads
        self._search = search
        self._jobs = jobs
        self._intake = intake
        self._default = default

    async def create(
        self, user_id: UUID, given: Submission, *, visibility: Visibility | None, request_id: str
    ) -> Novel:
        """Stores a novel, once per request_id, and has it ingested.

        Raises:
            InvalidArgument: a field breaks the contract, the file cannot be read, or the request_id was used with other
                content.
        """
        check = Violations()
        check.request_id("request_id", request_id)
        manuscript = await prepared(given, check, self._intake, visibility or "")
        new = NewNovel(
            novel_id=uuid4(),
            owner_id=user_id,
            title=manuscript.title,
            author=manuscript.author,
            language=manuscript.language,
            visibility=visibility or self._default,
            text=manuscript.text,
            request_id=request_id or None,
            request_hash=manuscript.request_hash,
        )
        novel, stored_hash = await self._novels.create(new)
        await self._reads.novel_changed(novel.novel_id)  # that there was none may be remembered
        if stored_hash != manuscript.request_hash:
            raise request_id_reused()
        if not novel.status.ended:
            self._jobs.ingest_novel(novel.novel_id)
        return novel

    async def get(self, user_id: UUID, novel_id: UUID) -> Novel:
        """A novel that the user sees.

        Raises:
            NotFound: the user sees no such novel.
        """
        novel = await self._reads.novel(novel_id)
        if novel is None or not novel.visible_to(user_id):
            raise not_found("novel_id", novel_id, "novel")
        return novel

    async def page(self, user_id: UUID, size: int, token: str) -> Page[Novel]:
        """The user's and the public novels, newest first.

        Raises:
            InvalidArgument: size or token breaks the contract.
        """
        check = Violations()
        size = page_size(check, size)
        after = read_key(check, token)
        check.raise_if_any()
        found = await self._novels.page(user_id, after, size + 1)
        return page(found, size, lambda novel: (novel.created_at, novel.novel_id))

    async def update(self, user_id: UUID, novel_id: UUID, title: str | None, author: str | None) -> Novel:
        """Changes what is not None.

        Raises:
            InvalidArgument: a field breaks the contract.
            NotFound: the user sees no such novel.
            PermissionDenied: it is another's.
        """
        check = Violations()
        if title is not None:
            title = plain_text.line(title)
            check.text("title", title, 1, MAX_TITLE)
        if author is not None:
            author = plain_text.line(author)
            check.text("author", author, 0, MAX_AUTHOR)
        check.raise_if_any()
        await self.own(user_id, novel_id)
        novel = await self._novels.update(novel_id, title, author)
        if novel is None:
            raise not_found("novel_id", novel_id, "novel")
        await self._reads.novel_changed(novel_id)
        return novel

    async def delete(self, user_id: UUID, novel_id: UUID) -> None:
        """Deletes a novel with all that hangs on it, here and in search.

        With search down the novel is gone all the same: its removal there is queued in the same transaction.

        Raises:
            NotFound: the user sees no such novel.
            PermissionDenied: it is another's.
        """
        await self.own(user_id, novel_id)
        scenario_ids = await self._novels.delete(novel_id)
        await self._reads.novel_deleted(novel_id, scenario_ids)
        try:
            await self._search.delete_novel(novel_id)
        except MeshError as error:
            log.warning("search removes a novel later", extra={"novel_id": str(novel_id), "reason": error.reason})
        else:
            await self._ingestion.removed(novel_id)

    async def own(self, user_id: UUID, novel_id: UUID) -> None:
        """Lets the owner through.

        Raises:
            NotFound: the user sees no such novel.
            PermissionDenied: it is another's.
        """
        novel = await self.get(user_id, novel_id)
        if novel.owner_id != user_id:
            raise not_owner("novel_id", "novel")


def request_id_reused() -> InvalidArgument:
    """The same request_id came with another request."""
    return InvalidArgument(
        "request_id was used for another request; give each request its own",
        reason="REQUEST_ID_REUSED",
        fields={"request_id": "was used for another request; give each request its own"},
    )

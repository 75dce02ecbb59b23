"""Novels: a public one is on everybody's shelf, its owner alone changes or deletes it."""

import asyncio
import hashlib
from uuid import UUID, uuid4

from mesh import plain_text
from mesh.errors import InvalidArgument, MeshError
from mesh.pages import page_size
from mesh.telemetry.logs import get_logger
from mesh.validation import Violations
from services.library.domain.errors import not_found, not_owner
from services.library.domain.paging import page, read_key
from services.library.domain.reads import Reads
from services.library.models import NewNovel, Novel, Page, Visibility
from services.library.ports import IngestionStore, Jobs, NovelStore, Search

log = get_logger(__name__)

MAX_TEXT_BYTES = 8 * 1024 * 1024
# A BCP 47 tag has subtags of 1 to 8 letters and digits; 35 characters hold any that is in use (RFC 5646, 4.4.1).
_LANGUAGE = 35


class Novels:
    """What readers do with novels.

    Args:
        novels: where they are kept.
        ingestion: how they go into search.
        reads: reads through the cache.
        search: the search room.
        jobs: has them ingested.
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
        default: Visibility,
    ) -> None:
        self._novels = novels
        self._ingestion = ingestion
        self._reads = reads
        self._search = search
        self._jobs = jobs
        self._default = default

    async def create(
        self,
        user_id: UUID,
        *,
        title: str,
        author: str,
        language: str,
        text: str,
        visibility: Visibility | None,
        request_id: str,
    ) -> Novel:
        """Stores a novel, once per request_id, and has it ingested.

        Raises:
            InvalidArgument: a field breaks the contract, or the request_id was used with other content.
        """
        title, author = plain_text.line(title), plain_text.line(author)
        check = Violations()
        check.text("title", title, 1, 300)
        check.text("author", author, 0, 200)
        _check_language(check, language)
        check.request_id("request_id", request_id)
        # Of 8 MiB, even looking takes milliseconds.
        problem, request_hash = await asyncio.to_thread(_examine, text, [title, author, language, visibility or ""])
        if problem:
            check.add("text", problem)
        check.raise_if_any()
        new = NewNovel(
            novel_id=uuid4(),
            owner_id=user_id,
            title=title,
            author=author,
            language=language,
            visibility=visibility or self._default,
            text=text,
            request_id=request_id or None,
            request_hash=request_hash,
        )
        novel, stored_hash = await self._novels.create(new)
        await self._reads.novel_changed(novel.novel_id)  # that there was none may be remembered
        if stored_hash != request_hash:
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
            check.text("title", title, 1, 300)
        if author is not None:
            author = plain_text.line(author)
            check.text("author", author, 0, 200)
        check.raise_if_any()
        await self._own(user_id, novel_id)
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
        await self._own(user_id, novel_id)
        scenario_ids = await self._novels.delete(novel_id)
        await self._reads.novel_deleted(novel_id, scenario_ids)
        try:
            await self._search.delete_novel(novel_id)
        except MeshError as error:
            log.warning("search removes a novel later", extra={"novel_id": str(novel_id), "reason": error.reason})
        else:
            await self._ingestion.removed(novel_id)

    async def _own(self, user_id: UUID, novel_id: UUID) -> None:
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


def _check_language(check: Violations, language: str) -> None:
    subtags = language.split("-")
    fits = all(tag.isascii() and tag.isalnum() and len(tag) <= 8 for tag in subtags) and len(language) <= _LANGUAGE
    if language and not (fits and subtags[0].isalpha()):
        check.add("language", "is not a BCP 47 language tag, e.g. en or pt-BR")


def _examine(text: str, others: list[str]) -> tuple[str | None, bytes]:
    """What is wrong with a text, and the hash of the request."""
    encoded = text.encode()
    if len(encoded) > MAX_TEXT_BYTES:
        return f"has {len(encoded):,} bytes of UTF-8; give at most {MAX_TEXT_BYTES:,}", b""
    if not encoded.strip():
        return "is empty; give the novel's text", b""
    if b"\0" in encoded:
        return "holds a NUL character; give plain text", b""
    digest = hashlib.sha256()
    for part in others:
        digest.update(part.encode() + b"\0")
    digest.update(encoded)
    return None, digest.digest()

"""How far readers have come in novels: what a scenario with `until_read` lets them be told.

Who has said nothing counts as one who has read nothing but what stands before the first chapter, so that a limit that
is asked for holds from the first reply on.
"""

from uuid import UUID

from mesh.validation import Violations
from services.library.domain.novels import Novels
from services.library.models import IngestionStatus, ReadingProgress
from services.library.ports import ReadingStore

_MAX_CHAPTER = 2**31 - 1


class Readings:
    """A reader's own progress in the novels that the reader sees.

    Args:
        readings: where it is kept.
        novels: who sees which.
    """

    def __init__(self, readings: ReadingStore, novels: Novels) -> None:
        self._readings = readings
        self._novels = novels

    async def get(self, user_id: UUID, novel_id: UUID) -> ReadingProgress:
        """The user's progress in a novel, said or not.

        Raises:
            NotFound: the user sees no such novel.
        """
        await self._novels.get(user_id, novel_id)
        return await self._readings.get(user_id, novel_id)

    async def set(self, user_id: UUID, novel_id: UUID, chapter: int | None) -> ReadingProgress:
        """Notes the last chapter that the user has read, further or less far than before.

        Args:
            user_id: the reader.
            novel_id: a novel that the reader sees.
            chapter: 0 to the novel's chapters, where those are known yet.

        Raises:
            InvalidArgument: the chapter is missing, or the novel has none of that number.
            NotFound: the user sees no such novel.
        """
        check = Violations()
        if chapter is None:
            check.add("chapter", "is missing; give the last chapter that you have read, 0 or more")
        else:
            check.range("chapter", chapter, 0, _MAX_CHAPTER)
        check.raise_if_any()
        novel = await self._novels.get(user_id, novel_id)
        read = chapter or 0
        if novel.status is IngestionStatus.COMPLETE:
            check.range("chapter", read, 0, novel.chapters)
            check.raise_if_any()
        return await self._readings.set(user_id, novel_id, read)

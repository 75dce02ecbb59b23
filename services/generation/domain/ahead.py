"""The search for a reply's passages, begun beside the question to library and not after it.

What is searched for is what the reader says and what the conversation is about. Of the latter library has told when the
conversation's last reply was begun here, and it seldom changes. So it is guessed, and the search counts if library's
answer is as guessed: nobody gets passages by anything but that answer.
"""

from dataclasses import dataclass

from cachetools import LRUCache

from mesh import identity, plain_text
from services.generation.domain.passages import Asked, Early, PassageFinder, query_of
from services.generation.ports import Edit, Reply, ReplyContext, ReplyTo, Work

MOST = 4_096
"""Conversations that are remembered, those that were talked in last."""


@dataclass(frozen=True, slots=True)
class _About:
    """What a conversation is about."""

    novel_id: str
    scenario_title: str
    until_chapter: int | None
    character_id: str


class Ahead:
    """Guesses what will be searched for.

    Args:
        finder: searches.
    """

    def __init__(self, finder: PassageFinder) -> None:
        self._finder = finder
        # By reader as well: a search is begun for somebody whom library has let into the conversation before.
        self._about: LRUCache[tuple[str, str], _About] = LRUCache(MOST)

    def begin(self, work: Work) -> Early | None:
        """Begins the search of a reply; None: there is nothing to go by."""
        if not isinstance(work, ReplyTo | Edit):
            return None
        about = self._about.get((_reader(), work.conversation_id))
        if about is None:
            return None
        query = query_of(plain_text.text(work.content), about.scenario_title)
        return self._finder.begin(Asked(about.novel_id, query, about.until_chapter, about.character_id))

    def learn(self, reply: Reply, context: ReplyContext) -> None:
        """Notes what a conversation is about."""
        about = _About(context.novel_id, context.scenario_title, context.until_chapter, context.character_id)
        self._about[_reader(), reply.conversation_id] = about


def _reader() -> str:
    return identity.require().user_id

"""Conversations: nobody but their reader sees them."""

from uuid import UUID, uuid4

from mesh.pages import page_size
from mesh.validation import Violations
from services.library.domain.characters import Characters
from services.library.domain.errors import not_found
from services.library.domain.novels import request_id_reused
from services.library.domain.paging import page, read_key
from services.library.domain.scenarios import Scenarios
from services.library.domain.writers import Writers
from services.library.models import Conversation, NewConversation, Page
from services.library.ports import ConversationStore


class Conversations:
    """What readers do with their conversations."""

    def __init__(
        self, conversations: ConversationStore, scenarios: Scenarios, characters: Characters, writers: Writers
    ) -> None:
        self._conversations = conversations
        self._scenarios = scenarios
        self._characters = characters
        self._writers = writers

    async def begun(self, user_id: UUID, scenario_id: UUID, character_id: UUID, request_id: str) -> Conversation | None:
        """The conversation that the same request has made before.

        Raises:
            InvalidArgument: it was made for another scenario or character.
        """
        found = await self._conversations.by_request(user_id, request_id) if request_id else None
        return same_request(found, scenario_id, character_id) if found else None

    async def plan(self, user_id: UUID, scenario_id: UUID, character_id: UUID, request_id: str) -> NewConversation:
        """A conversation that may be stored.

        Raises:
            InvalidArgument: the character is not of the scenario's novel.
            NotFound: the user sees no such scenario, or there is no such character.
            Unavailable, DeadlineExceeded, ResourceExhausted: search does not answer, and the character is not kept.
        """
        scenario = await self._scenarios.get(user_id, scenario_id)
        character = await self._characters.of_novel(user_id, scenario.novel_id, character_id)
        limit = await self._scenarios.limit_of(user_id, scenario)
        if limit is not None:
            character = await self._characters.named_within(character, limit)
        return NewConversation(uuid4(), user_id, scenario, character, request_id or None)

    async def get(self, user_id: UUID, conversation_id: UUID) -> Conversation:
        """The user's conversation.

        Raises:
            NotFound: the user has no such conversation.
        """
        found = await self._conversations.get(conversation_id, user_id)
        if found is None:
            raise not_found("conversation_id", conversation_id, "conversation")
        return found

    async def page(self, user_id: UUID, size: int, token: str) -> Page[Conversation]:
        """The user's conversations, last used first.

        Raises:
            InvalidArgument: size or token breaks the contract.
        """
        check = Violations()
        size = page_size(check, size)
        after = read_key(check, token)
        check.raise_if_any()
        found = await self._conversations.page(user_id, after, size + 1)
        return page(found, size, lambda conversation: (conversation.updated_at, conversation.conversation_id))

    async def delete(self, user_id: UUID, conversation_id: UUID) -> None:
        """Deletes the user's conversation with its messages.

        Raises:
            NotFound: the user has no such conversation.
        """
        pending = await self._conversations.delete(conversation_id, user_id)
        if pending is None:
            raise not_found("conversation_id", conversation_id, "conversation")
        await self._writers.stop(pending)


def same_request(found: Conversation, scenario_id: UUID, character_id: UUID) -> Conversation:
    """What was made by a request_id, if it is what is asked for now.

    Raises:
        InvalidArgument: it is not.
    """
    if (found.scenario_id, found.character_id) != (scenario_id, character_id) or found.forked_message_id:
        raise request_id_reused()
    return found

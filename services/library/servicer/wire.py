"""Domain values as messages of the contract, and back."""

from datetime import UTC, datetime
from uuid import UUID

from gaji.gateway.v1 import stream_events_pb2 as events
from gaji.library.v1 import auth_service_pb2 as auth
from gaji.library.v1 import citation_pb2
from gaji.library.v1 import conversation_service_pb2 as conversations
from gaji.library.v1 import novel_service_pb2 as novels
from gaji.library.v1 import reading_service_pb2 as readings
from gaji.library.v1 import scenario_service_pb2 as scenarios
from gaji.library.v1 import user_service_pb2 as users
from google.protobuf.timestamp_pb2 import Timestamp

from mesh import identity
from mesh.validation import Violations
from services.library.domain.accounts import Session
from services.library.domain.editing import Edited
from services.library.domain.errors import unknown_user
from services.library.domain.replies import Context
from services.library.domain.watching import Gap
from services.library.models import (
    Citation,
    Conversation,
    ConversationStatus,
    Failure,
    IngestionStatus,
    Line,
    Message,
    MessageStatus,
    Node,
    Novel,
    Progress,
    ReadingProgress,
    ReplyRecord,
    Revocation,
    Role,
    Scenario,
    StoredPassage,
    User,
    Visibility,
)

_VISIBILITY = {
    Visibility.PRIVATE: novels.VISIBILITY_PRIVATE,
    Visibility.PUBLIC: novels.VISIBILITY_PUBLIC,
}
_INGESTION = {
    IngestionStatus.PENDING: novels.INGESTION_STATUS_PENDING,
    IngestionStatus.RUNNING: novels.INGESTION_STATUS_RUNNING,
    IngestionStatus.COMPLETE: novels.INGESTION_STATUS_COMPLETE,
    IngestionStatus.FAILED: novels.INGESTION_STATUS_FAILED,
}
_CONVERSATION = {
    ConversationStatus.PENDING: conversations.CONVERSATION_STATUS_PENDING,
    ConversationStatus.OPEN: conversations.CONVERSATION_STATUS_OPEN,
}
_ROLE = {
    Role.READER: conversations.MESSAGE_ROLE_READER,
    Role.CHARACTER: conversations.MESSAGE_ROLE_CHARACTER,
}
_MESSAGE = {
    MessageStatus.PENDING: conversations.MESSAGE_STATUS_PENDING,
    MessageStatus.COMPLETE: conversations.MESSAGE_STATUS_COMPLETE,
    MessageStatus.FAILED: conversations.MESSAGE_STATUS_FAILED,
    MessageStatus.STOPPED: conversations.MESSAGE_STATUS_STOPPED,
}

_EPOCH = datetime.fromtimestamp(0, UTC)


def caller() -> UUID:
    """The caller's user id.

    Raises:
        Unauthenticated: the call came without a token, or with one of no user of ours.
    """
    try:
        return UUID(identity.require().user_id)
    except ValueError:
        raise unknown_user() from None


def uuids(**fields: str) -> tuple[UUID, ...]:
    """The fields' values as UUIDs, in the order given.

    Raises:
        InvalidArgument: some are none; each is named.
    """
    check = Violations()
    found = [check.uuid(name, value) for name, value in fields.items()]
    check.raise_if_any()
    return tuple(value for value in found if value is not None)


def read_visibility(value: novels.Visibility) -> Visibility | None:
    """Who may see a thing; None: not said.

    Raises:
        InvalidArgument: the value is none of the contract's.
    """
    known = {number: visibility for visibility, number in _VISIBILITY.items()}
    if value != novels.VISIBILITY_UNSPECIFIED and value not in known:
        check = Violations()
        check.add("visibility", "is unknown; give VISIBILITY_PRIVATE or VISIBILITY_PUBLIC")
        check.raise_if_any()
    return known.get(value)


def ingestion_status(status: IngestionStatus) -> novels.IngestionStatus:
    """How far an ingestion is."""
    return _INGESTION[status]


def conversation_status(status: ConversationStatus) -> conversations.ConversationStatus:
    """What a conversation waits for."""
    return _CONVERSATION[status]


def session(value: Session) -> auth.Session:
    """An open session."""
    return auth.Session(
        user_id=str(value.user.user_id),
        access_token=value.access_token,
        token_type="Bearer",  # noqa: S106 - a scheme's name, no secret
        expires_in=value.expires_in,
        refresh_token=value.refresh_token,
        refresh_expires_in=value.refresh_expires_in,
        guest=value.user.guest,
    )


def revocation(value: Revocation, expire_time: datetime) -> auth.Revocation:
    """A session that ended before its time."""
    return auth.Revocation(session_id=str(value.session_id), expire_time=timestamp(expire_time))


def user(value: User) -> users.User:
    """A reader."""
    return users.User(
        user_id=str(value.user_id),
        email=value.email,
        display_name=value.display_name,
        guest=value.guest,
        created_at=timestamp(value.created_at),
    )


def novel(value: Novel) -> novels.Novel:
    """A novel."""
    return novels.Novel(
        novel_id=str(value.novel_id),
        owner_id=str(value.owner_id),
        title=value.title,
        author=value.author,
        language=value.language,
        visibility=_VISIBILITY[value.visibility],
        status=_INGESTION[value.status],
        words=value.words,
        chapters=value.chapters,
        passages=value.passages,
        characters=value.characters,
        failure=failure(value.failure) if value.failure else None,
        created_at=timestamp(value.created_at),
        updated_at=timestamp(value.updated_at),
    )


def edited_character(value: Edited) -> novels.EditedCharacter:
    """A character as its novel's owner has changed it."""
    edit = value.edit
    return novels.EditedCharacter(
        character_id=str(edit.character_id),
        novel_id=str(edit.novel_id),
        name=value.name,
        aliases=None if edit.aliases is None else novels.CharacterAliases(names=edit.aliases),
        description=edit.description,
        hidden=edit.hidden,
        merged_into_id=str(edit.merged_into or ""),
        shown=value.shown,
    )


def scenario(value: Scenario) -> scenarios.Scenario:
    """A scenario."""
    return scenarios.Scenario(
        scenario_id=str(value.scenario_id),
        owner_id=str(value.owner_id),
        novel_id=str(value.novel_id),
        title=value.title,
        description=value.description,
        passage_ids=map(str, value.passage_ids),
        visibility=_VISIBILITY[value.visibility],
        until_chapter=value.until_chapter,
        created_at=timestamp(value.created_at),
        updated_at=timestamp(value.updated_at),
        until_read=value.until_read,
    )


def reading_progress(value: ReadingProgress) -> readings.ReadingProgress:
    """How far a reader has come."""
    return readings.ReadingProgress(
        novel_id=str(value.novel_id),
        chapter=value.chapter,
        updated_at=timestamp(value.updated_at) if value.updated_at else None,
    )


def conversation(value: Conversation) -> conversations.Conversation:
    """A conversation."""
    return conversations.Conversation(
        conversation_id=str(value.conversation_id),
        scenario_id=str(value.scenario_id),
        novel_id=str(value.novel_id),
        character_id=str(value.character_id),
        character_name=value.character_name,
        title=value.title,
        status=_CONVERSATION[value.status],
        message_count=value.message_count,
        last_message=value.last_message,
        created_at=timestamp(value.created_at),
        updated_at=timestamp(value.updated_at),
        head_message_id=str(value.head_id or ""),
        forked_from_id=str(value.forked_from_id or ""),
    )


def message(value: Message) -> conversations.Message:
    """A message."""
    return conversations.Message(
        message_id=str(value.message_id),
        conversation_id=str(value.conversation_id),
        role=_ROLE[value.role],
        content=value.content,
        status=_MESSAGE[value.status],
        record=_record(value.record) if value.record else None,
        created_at=timestamp(value.created_at),
        parent_id=str(value.parent_id or ""),
        alternatives=value.alternatives,
        alternative=value.alternative,
    )


def node(value: Node) -> conversations.ConversationNode:
    """A message of a tree."""
    return conversations.ConversationNode(
        message_id=str(value.message_id),
        parent_id=str(value.parent_id or ""),
        role=_ROLE[value.role],
        status=_MESSAGE[value.status],
        excerpt=value.excerpt,
        created_at=timestamp(value.created_at),
        chosen=value.chosen,
    )


def progress(value: Progress) -> events.Progress:
    """How far a job has come."""
    return events.Progress(
        progress=value.percent,
        stage=value.stage,
        message=value.message,
        remaining_seconds=value.remaining_seconds,
    )


def gap(value: Gap) -> events.Gap:
    """Events that are no longer kept."""
    return events.Gap(first_sequence=value.first, last_sequence=value.last)


def failure(value: Failure) -> events.Failure:
    """Why something could not be completed."""
    return events.Failure(code=value.code, reason=value.reason, message=value.message, retryable=value.retryable)


def read_record(value: conversations.ReplyRecord) -> ReplyRecord:
    """How a reply was made."""
    return ReplyRecord(
        provider=value.provider,
        model=value.model,
        prompt_tokens=value.prompt_tokens,
        completion_tokens=value.completion_tokens,
        first_token_ms=value.first_token_ms,
        total_ms=value.total_ms,
        passage_ids=list(value.passage_ids),
        failure=read_failure(value.failure) if value.HasField("failure") else None,
        last_sequence=value.last_sequence,
        degraded=list(value.degraded),
        citations=[
            Citation(
                passage_id=one.passage_id,
                chapter=one.chapter,
                chapter_title=one.chapter_title,
                position=one.position if one.HasField("position") else None,
                excerpt=one.excerpt,
                score=one.score,
            )
            for one in value.citations
        ],
    )


def read_failure(value: events.Failure) -> Failure:
    """Why something could not be completed."""
    return Failure(value.code, value.reason, value.message, value.retryable)


def context(value: Context) -> conversations.ReplyContext:
    """What a prompt needs."""
    limited = value.scenario.until_chapter is not None
    return conversations.ReplyContext(
        novel=novel(value.novel),
        scenario=scenario(value.scenario),
        character_id=str(value.conversation.character_id),
        character_name=value.conversation.character_name,
        # It tells of the whole novel: under a limit nobody gets it.
        character_description="" if limited else value.conversation.character_description,
        history=map(_line, value.history),
        scenario_passages=map(_stored_passage, value.kept.scenario or ()),
        novel_passages=map(_stored_passage, value.kept.novel or ()),
        speech_samples=map(_stored_passage, value.kept.samples or ()),
    )


def _line(value: Line) -> conversations.Message:
    return conversations.Message(message_id=str(value.message_id), role=_ROLE[value.role], content=value.content)


def _stored_passage(value: StoredPassage) -> conversations.StoredPassage:
    return conversations.StoredPassage(
        passage_id=str(value.passage_id),
        content=value.content,
        chapter=value.chapter,
        chapter_title=value.chapter_title,
        position=value.position,
    )


def _record(value: ReplyRecord) -> conversations.ReplyRecord:
    return conversations.ReplyRecord(
        provider=value.provider,
        model=value.model,
        prompt_tokens=value.prompt_tokens,
        completion_tokens=value.completion_tokens,
        first_token_ms=value.first_token_ms,
        total_ms=value.total_ms,
        passage_ids=value.passage_ids,
        failure=failure(value.failure) if value.failure else None,
        last_sequence=value.last_sequence,
        degraded=value.degraded,
        citations=[
            citation_pb2.Citation(
                passage_id=one.passage_id,
                chapter=one.chapter,
                chapter_title=one.chapter_title,
                position=one.position,
                excerpt=one.excerpt,
                score=one.score,
            )
            for one in value.citations
        ],
    )


def moment(name: str, value: Timestamp) -> datetime:
    """A field's time.

    Raises:
        InvalidArgument: it is none.
    """
    try:
        return value.ToDatetime(UTC)
    except (ValueError, OverflowError):
        check = Violations()
        check.add(name, "is no time; give the time that an answer gave")
        check.raise_if_any()
        raise


def timestamp(moment: datetime) -> Timestamp:
    """A time on the wire."""
    # What Timestamp.FromDatetime does, in a fifth of its steps: a reply has half a dozen.
    since = moment - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)

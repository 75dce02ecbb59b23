import datetime

from gaji.gateway.v1 import edge_pb2 as _edge_pb2
from gaji.gateway.v1 import stream_events_pb2 as _stream_events_pb2
from gaji.library.v1 import citation_pb2 as _citation_pb2
from gaji.library.v1 import novel_service_pb2 as _novel_service_pb2
from gaji.library.v1 import scenario_service_pb2 as _scenario_service_pb2
from gaji.mesh.v1 import peers_pb2 as _peers_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConversationStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONVERSATION_STATUS_UNSPECIFIED: _ClassVar[ConversationStatus]
    CONVERSATION_STATUS_PENDING: _ClassVar[ConversationStatus]
    CONVERSATION_STATUS_OPEN: _ClassVar[ConversationStatus]

class MessageRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MESSAGE_ROLE_UNSPECIFIED: _ClassVar[MessageRole]
    MESSAGE_ROLE_READER: _ClassVar[MessageRole]
    MESSAGE_ROLE_CHARACTER: _ClassVar[MessageRole]

class MessageStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MESSAGE_STATUS_UNSPECIFIED: _ClassVar[MessageStatus]
    MESSAGE_STATUS_PENDING: _ClassVar[MessageStatus]
    MESSAGE_STATUS_COMPLETE: _ClassVar[MessageStatus]
    MESSAGE_STATUS_FAILED: _ClassVar[MessageStatus]
    MESSAGE_STATUS_STOPPED: _ClassVar[MessageStatus]
CONVERSATION_STATUS_UNSPECIFIED: ConversationStatus
CONVERSATION_STATUS_PENDING: ConversationStatus
CONVERSATION_STATUS_OPEN: ConversationStatus
MESSAGE_ROLE_UNSPECIFIED: MessageRole
MESSAGE_ROLE_READER: MessageRole
MESSAGE_ROLE_CHARACTER: MessageRole
MESSAGE_STATUS_UNSPECIFIED: MessageStatus
MESSAGE_STATUS_PENDING: MessageStatus
MESSAGE_STATUS_COMPLETE: MessageStatus
MESSAGE_STATUS_FAILED: MessageStatus
MESSAGE_STATUS_STOPPED: MessageStatus

class Conversation(_message.Message):
    __slots__ = ("conversation_id", "scenario_id", "novel_id", "character_id", "character_name", "title", "status", "message_count", "last_message", "created_at", "updated_at", "head_message_id", "forked_from_id")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCENARIO_ID_FIELD_NUMBER: _ClassVar[int]
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    CHARACTER_ID_FIELD_NUMBER: _ClassVar[int]
    CHARACTER_NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    HEAD_MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    FORKED_FROM_ID_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    scenario_id: str
    novel_id: str
    character_id: str
    character_name: str
    title: str
    status: ConversationStatus
    message_count: int
    last_message: str
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    head_message_id: str
    forked_from_id: str
    def __init__(self, conversation_id: _Optional[str] = ..., scenario_id: _Optional[str] = ..., novel_id: _Optional[str] = ..., character_id: _Optional[str] = ..., character_name: _Optional[str] = ..., title: _Optional[str] = ..., status: _Optional[_Union[ConversationStatus, str]] = ..., message_count: _Optional[int] = ..., last_message: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., head_message_id: _Optional[str] = ..., forked_from_id: _Optional[str] = ...) -> None: ...

class Message(_message.Message):
    __slots__ = ("message_id", "conversation_id", "role", "content", "status", "record", "created_at", "parent_id", "alternatives", "alternative")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    ALTERNATIVES_FIELD_NUMBER: _ClassVar[int]
    ALTERNATIVE_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    conversation_id: str
    role: MessageRole
    content: str
    status: MessageStatus
    record: ReplyRecord
    created_at: _timestamp_pb2.Timestamp
    parent_id: str
    alternatives: int
    alternative: int
    def __init__(self, message_id: _Optional[str] = ..., conversation_id: _Optional[str] = ..., role: _Optional[_Union[MessageRole, str]] = ..., content: _Optional[str] = ..., status: _Optional[_Union[MessageStatus, str]] = ..., record: _Optional[_Union[ReplyRecord, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., parent_id: _Optional[str] = ..., alternatives: _Optional[int] = ..., alternative: _Optional[int] = ...) -> None: ...

class ReplyRecord(_message.Message):
    __slots__ = ("provider", "model", "prompt_tokens", "completion_tokens", "first_token_ms", "total_ms", "passage_ids", "failure", "last_sequence", "degraded", "citations")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    FIRST_TOKEN_MS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MS_FIELD_NUMBER: _ClassVar[int]
    PASSAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    CITATIONS_FIELD_NUMBER: _ClassVar[int]
    provider: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    first_token_ms: int
    total_ms: int
    passage_ids: _containers.RepeatedScalarFieldContainer[str]
    failure: _stream_events_pb2.Failure
    last_sequence: int
    degraded: _containers.RepeatedScalarFieldContainer[str]
    citations: _containers.RepeatedCompositeFieldContainer[_citation_pb2.Citation]
    def __init__(self, provider: _Optional[str] = ..., model: _Optional[str] = ..., prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ..., first_token_ms: _Optional[int] = ..., total_ms: _Optional[int] = ..., passage_ids: _Optional[_Iterable[str]] = ..., failure: _Optional[_Union[_stream_events_pb2.Failure, _Mapping]] = ..., last_sequence: _Optional[int] = ..., degraded: _Optional[_Iterable[str]] = ..., citations: _Optional[_Iterable[_Union[_citation_pb2.Citation, _Mapping]]] = ...) -> None: ...

class CreateConversationRequest(_message.Message):
    __slots__ = ("scenario_id", "character_id", "request_id")
    SCENARIO_ID_FIELD_NUMBER: _ClassVar[int]
    CHARACTER_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    scenario_id: str
    character_id: str
    request_id: str
    def __init__(self, scenario_id: _Optional[str] = ..., character_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateConversationResponse(_message.Message):
    __slots__ = ("conversation_id", "status", "message_id")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    status: ConversationStatus
    message_id: str
    def __init__(self, conversation_id: _Optional[str] = ..., status: _Optional[_Union[ConversationStatus, str]] = ..., message_id: _Optional[str] = ...) -> None: ...

class GetConversationRequest(_message.Message):
    __slots__ = ("conversation_id",)
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    def __init__(self, conversation_id: _Optional[str] = ...) -> None: ...

class GetConversationResponse(_message.Message):
    __slots__ = ("conversation",)
    CONVERSATION_FIELD_NUMBER: _ClassVar[int]
    conversation: Conversation
    def __init__(self, conversation: _Optional[_Union[Conversation, _Mapping]] = ...) -> None: ...

class ListConversationsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListConversationsResponse(_message.Message):
    __slots__ = ("conversations", "next_page_token")
    CONVERSATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    conversations: _containers.RepeatedCompositeFieldContainer[Conversation]
    next_page_token: str
    def __init__(self, conversations: _Optional[_Iterable[_Union[Conversation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteConversationRequest(_message.Message):
    __slots__ = ("conversation_id",)
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    def __init__(self, conversation_id: _Optional[str] = ...) -> None: ...

class DeleteConversationResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListMessagesRequest(_message.Message):
    __slots__ = ("conversation_id", "page_size", "page_token")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    page_size: int
    page_token: str
    def __init__(self, conversation_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListMessagesResponse(_message.Message):
    __slots__ = ("messages", "next_page_token")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[Message]
    next_page_token: str
    def __init__(self, messages: _Optional[_Iterable[_Union[Message, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ConversationNode(_message.Message):
    __slots__ = ("message_id", "parent_id", "role", "status", "excerpt", "created_at", "chosen")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EXCERPT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    CHOSEN_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    parent_id: str
    role: MessageRole
    status: MessageStatus
    excerpt: str
    created_at: _timestamp_pb2.Timestamp
    chosen: bool
    def __init__(self, message_id: _Optional[str] = ..., parent_id: _Optional[str] = ..., role: _Optional[_Union[MessageRole, str]] = ..., status: _Optional[_Union[MessageStatus, str]] = ..., excerpt: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., chosen: _Optional[bool] = ...) -> None: ...

class GetConversationTreeRequest(_message.Message):
    __slots__ = ("conversation_id",)
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    def __init__(self, conversation_id: _Optional[str] = ...) -> None: ...

class GetConversationTreeResponse(_message.Message):
    __slots__ = ("nodes", "head_message_id", "truncated")
    NODES_FIELD_NUMBER: _ClassVar[int]
    HEAD_MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[ConversationNode]
    head_message_id: str
    truncated: bool
    def __init__(self, nodes: _Optional[_Iterable[_Union[ConversationNode, _Mapping]]] = ..., head_message_id: _Optional[str] = ..., truncated: _Optional[bool] = ...) -> None: ...

class BeginReplyRequest(_message.Message):
    __slots__ = ("request_id", "reply", "opening", "regenerate", "edit")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    OPENING_FIELD_NUMBER: _ClassVar[int]
    REGENERATE_FIELD_NUMBER: _ClassVar[int]
    EDIT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    reply: ReplyTarget
    opening: OpeningTarget
    regenerate: RegenerateTarget
    edit: EditTarget
    def __init__(self, request_id: _Optional[str] = ..., reply: _Optional[_Union[ReplyTarget, _Mapping]] = ..., opening: _Optional[_Union[OpeningTarget, _Mapping]] = ..., regenerate: _Optional[_Union[RegenerateTarget, _Mapping]] = ..., edit: _Optional[_Union[EditTarget, _Mapping]] = ...) -> None: ...

class ReplyTarget(_message.Message):
    __slots__ = ("conversation_id", "content")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    content: str
    def __init__(self, conversation_id: _Optional[str] = ..., content: _Optional[str] = ...) -> None: ...

class OpeningTarget(_message.Message):
    __slots__ = ("scenario_id", "character_id")
    SCENARIO_ID_FIELD_NUMBER: _ClassVar[int]
    CHARACTER_ID_FIELD_NUMBER: _ClassVar[int]
    scenario_id: str
    character_id: str
    def __init__(self, scenario_id: _Optional[str] = ..., character_id: _Optional[str] = ...) -> None: ...

class RegenerateTarget(_message.Message):
    __slots__ = ("conversation_id", "message_id")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    message_id: str
    def __init__(self, conversation_id: _Optional[str] = ..., message_id: _Optional[str] = ...) -> None: ...

class EditTarget(_message.Message):
    __slots__ = ("conversation_id", "message_id", "content")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    message_id: str
    content: str
    def __init__(self, conversation_id: _Optional[str] = ..., message_id: _Optional[str] = ..., content: _Optional[str] = ...) -> None: ...

class BeginReplyResponse(_message.Message):
    __slots__ = ("reply", "lease_id", "context", "epoch", "lease_age_seconds")
    REPLY_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LEASE_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    reply: Message
    lease_id: str
    context: ReplyContext
    epoch: int
    lease_age_seconds: float
    def __init__(self, reply: _Optional[_Union[Message, _Mapping]] = ..., lease_id: _Optional[str] = ..., context: _Optional[_Union[ReplyContext, _Mapping]] = ..., epoch: _Optional[int] = ..., lease_age_seconds: _Optional[float] = ...) -> None: ...

class GetReplyRequest(_message.Message):
    __slots__ = ("conversation_id", "message_id")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    message_id: str
    def __init__(self, conversation_id: _Optional[str] = ..., message_id: _Optional[str] = ...) -> None: ...

class GetReplyResponse(_message.Message):
    __slots__ = ("reply", "epoch", "lease_age_seconds")
    REPLY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LEASE_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    reply: Message
    epoch: int
    lease_age_seconds: float
    def __init__(self, reply: _Optional[_Union[Message, _Mapping]] = ..., epoch: _Optional[int] = ..., lease_age_seconds: _Optional[float] = ...) -> None: ...

class TakeReplyRequest(_message.Message):
    __slots__ = ("message_id", "epoch", "dead_after_seconds", "mend")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    DEAD_AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MEND_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    epoch: int
    dead_after_seconds: float
    mend: bool
    def __init__(self, message_id: _Optional[str] = ..., epoch: _Optional[int] = ..., dead_after_seconds: _Optional[float] = ..., mend: _Optional[bool] = ...) -> None: ...

class TakeReplyResponse(_message.Message):
    __slots__ = ("reply", "lease_id", "context", "epoch", "access_token")
    REPLY_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ACCESS_TOKEN_FIELD_NUMBER: _ClassVar[int]
    reply: Message
    lease_id: str
    context: ReplyContext
    epoch: int
    access_token: str
    def __init__(self, reply: _Optional[_Union[Message, _Mapping]] = ..., lease_id: _Optional[str] = ..., context: _Optional[_Union[ReplyContext, _Mapping]] = ..., epoch: _Optional[int] = ..., access_token: _Optional[str] = ...) -> None: ...

class ReplyContext(_message.Message):
    __slots__ = ("novel", "scenario", "character_id", "character_name", "character_description", "history", "scenario_passages", "novel_passages", "speech_samples")
    NOVEL_FIELD_NUMBER: _ClassVar[int]
    SCENARIO_FIELD_NUMBER: _ClassVar[int]
    CHARACTER_ID_FIELD_NUMBER: _ClassVar[int]
    CHARACTER_NAME_FIELD_NUMBER: _ClassVar[int]
    CHARACTER_DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    SCENARIO_PASSAGES_FIELD_NUMBER: _ClassVar[int]
    NOVEL_PASSAGES_FIELD_NUMBER: _ClassVar[int]
    SPEECH_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    novel: _novel_service_pb2.Novel
    scenario: _scenario_service_pb2.Scenario
    character_id: str
    character_name: str
    character_description: str
    history: _containers.RepeatedCompositeFieldContainer[Message]
    scenario_passages: _containers.RepeatedCompositeFieldContainer[StoredPassage]
    novel_passages: _containers.RepeatedCompositeFieldContainer[StoredPassage]
    speech_samples: _containers.RepeatedCompositeFieldContainer[StoredPassage]
    def __init__(self, novel: _Optional[_Union[_novel_service_pb2.Novel, _Mapping]] = ..., scenario: _Optional[_Union[_scenario_service_pb2.Scenario, _Mapping]] = ..., character_id: _Optional[str] = ..., character_name: _Optional[str] = ..., character_description: _Optional[str] = ..., history: _Optional[_Iterable[_Union[Message, _Mapping]]] = ..., scenario_passages: _Optional[_Iterable[_Union[StoredPassage, _Mapping]]] = ..., novel_passages: _Optional[_Iterable[_Union[StoredPassage, _Mapping]]] = ..., speech_samples: _Optional[_Iterable[_Union[StoredPassage, _Mapping]]] = ...) -> None: ...

class StoredPassage(_message.Message):
    __slots__ = ("passage_id", "content", "chapter", "chapter_title", "position")
    PASSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    CHAPTER_FIELD_NUMBER: _ClassVar[int]
    CHAPTER_TITLE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    passage_id: str
    content: str
    chapter: int
    chapter_title: str
    position: int
    def __init__(self, passage_id: _Optional[str] = ..., content: _Optional[str] = ..., chapter: _Optional[int] = ..., chapter_title: _Optional[str] = ..., position: _Optional[int] = ...) -> None: ...

class CompleteReplyRequest(_message.Message):
    __slots__ = ("message_id", "lease_id", "content", "record")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    lease_id: str
    content: str
    record: ReplyRecord
    def __init__(self, message_id: _Optional[str] = ..., lease_id: _Optional[str] = ..., content: _Optional[str] = ..., record: _Optional[_Union[ReplyRecord, _Mapping]] = ...) -> None: ...

class CompleteReplyResponse(_message.Message):
    __slots__ = ("reply",)
    REPLY_FIELD_NUMBER: _ClassVar[int]
    reply: Message
    def __init__(self, reply: _Optional[_Union[Message, _Mapping]] = ...) -> None: ...

class FailReplyRequest(_message.Message):
    __slots__ = ("message_id", "lease_id", "content", "record")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    lease_id: str
    content: str
    record: ReplyRecord
    def __init__(self, message_id: _Optional[str] = ..., lease_id: _Optional[str] = ..., content: _Optional[str] = ..., record: _Optional[_Union[ReplyRecord, _Mapping]] = ...) -> None: ...

class FailReplyResponse(_message.Message):
    __slots__ = ("reply",)
    REPLY_FIELD_NUMBER: _ClassVar[int]
    reply: Message
    def __init__(self, reply: _Optional[_Union[Message, _Mapping]] = ...) -> None: ...

class KeepStoppedReplyRequest(_message.Message):
    __slots__ = ("message_id", "lease_id", "content", "record")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    lease_id: str
    content: str
    record: ReplyRecord
    def __init__(self, message_id: _Optional[str] = ..., lease_id: _Optional[str] = ..., content: _Optional[str] = ..., record: _Optional[_Union[ReplyRecord, _Mapping]] = ...) -> None: ...

class KeepStoppedReplyResponse(_message.Message):
    __slots__ = ("reply",)
    REPLY_FIELD_NUMBER: _ClassVar[int]
    reply: Message
    def __init__(self, reply: _Optional[_Union[Message, _Mapping]] = ...) -> None: ...

class ListPendingRepliesRequest(_message.Message):
    __slots__ = ("min_age_seconds", "limit")
    MIN_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    min_age_seconds: float
    limit: int
    def __init__(self, min_age_seconds: _Optional[float] = ..., limit: _Optional[int] = ...) -> None: ...

class ListPendingRepliesResponse(_message.Message):
    __slots__ = ("replies",)
    REPLIES_FIELD_NUMBER: _ClassVar[int]
    replies: _containers.RepeatedCompositeFieldContainer[PendingReply]
    def __init__(self, replies: _Optional[_Iterable[_Union[PendingReply, _Mapping]]] = ...) -> None: ...

class PendingReply(_message.Message):
    __slots__ = ("message_id", "epoch", "lease_age_seconds")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LEASE_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    epoch: int
    lease_age_seconds: float
    def __init__(self, message_id: _Optional[str] = ..., epoch: _Optional[int] = ..., lease_age_seconds: _Optional[float] = ...) -> None: ...

class AbandonReplyRequest(_message.Message):
    __slots__ = ("message_id", "failure")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    failure: _stream_events_pb2.Failure
    def __init__(self, message_id: _Optional[str] = ..., failure: _Optional[_Union[_stream_events_pb2.Failure, _Mapping]] = ...) -> None: ...

class AbandonReplyResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAlternativesRequest(_message.Message):
    __slots__ = ("conversation_id", "message_id")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    message_id: str
    def __init__(self, conversation_id: _Optional[str] = ..., message_id: _Optional[str] = ...) -> None: ...

class ListAlternativesResponse(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[Message]
    def __init__(self, messages: _Optional[_Iterable[_Union[Message, _Mapping]]] = ...) -> None: ...

class ChooseMessageRequest(_message.Message):
    __slots__ = ("conversation_id", "message_id")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    message_id: str
    def __init__(self, conversation_id: _Optional[str] = ..., message_id: _Optional[str] = ...) -> None: ...

class ChooseMessageResponse(_message.Message):
    __slots__ = ("conversation",)
    CONVERSATION_FIELD_NUMBER: _ClassVar[int]
    conversation: Conversation
    def __init__(self, conversation: _Optional[_Union[Conversation, _Mapping]] = ...) -> None: ...

class DeleteMessageRequest(_message.Message):
    __slots__ = ("conversation_id", "message_id")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    message_id: str
    def __init__(self, conversation_id: _Optional[str] = ..., message_id: _Optional[str] = ...) -> None: ...

class DeleteMessageResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ForkConversationRequest(_message.Message):
    __slots__ = ("conversation_id", "message_id", "request_id")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    message_id: str
    request_id: str
    def __init__(self, conversation_id: _Optional[str] = ..., message_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ForkConversationResponse(_message.Message):
    __slots__ = ("conversation",)
    CONVERSATION_FIELD_NUMBER: _ClassVar[int]
    conversation: Conversation
    def __init__(self, conversation: _Optional[_Union[Conversation, _Mapping]] = ...) -> None: ...

class ExportConversationRequest(_message.Message):
    __slots__ = ("conversation_id", "format")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    format: str
    def __init__(self, conversation_id: _Optional[str] = ..., format: _Optional[str] = ...) -> None: ...

class ExportConversationResponse(_message.Message):
    __slots__ = ("file",)
    FILE_FIELD_NUMBER: _ClassVar[int]
    file: _httpbody_pb2.HttpBody
    def __init__(self, file: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...

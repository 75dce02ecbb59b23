from gaji.gateway.v1 import edge_pb2 as _edge_pb2
from gaji.gateway.v1 import stream_events_pb2 as _stream_events_pb2
from gaji.library.v1 import citation_pb2 as _citation_pb2
from gaji.mesh.v1 import peers_pb2 as _peers_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StreamReplyRequest(_message.Message):
    __slots__ = ("conversation_id", "content", "request_id", "after")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    content: str
    request_id: str
    after: str
    def __init__(self, conversation_id: _Optional[str] = ..., content: _Optional[str] = ..., request_id: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class StreamReplyResponse(_message.Message):
    __slots__ = ("sequence", "progress", "token", "complete", "failed", "stopped", "seam", "gap", "cursor")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    SEAM_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    progress: _stream_events_pb2.Progress
    token: Token
    complete: ReplySummary
    failed: _stream_events_pb2.Failure
    stopped: ReplySummary
    seam: _stream_events_pb2.Seam
    gap: _stream_events_pb2.Gap
    cursor: str
    def __init__(self, sequence: _Optional[int] = ..., progress: _Optional[_Union[_stream_events_pb2.Progress, _Mapping]] = ..., token: _Optional[_Union[Token, _Mapping]] = ..., complete: _Optional[_Union[ReplySummary, _Mapping]] = ..., failed: _Optional[_Union[_stream_events_pb2.Failure, _Mapping]] = ..., stopped: _Optional[_Union[ReplySummary, _Mapping]] = ..., seam: _Optional[_Union[_stream_events_pb2.Seam, _Mapping]] = ..., gap: _Optional[_Union[_stream_events_pb2.Gap, _Mapping]] = ..., cursor: _Optional[str] = ...) -> None: ...

class StreamOpeningRequest(_message.Message):
    __slots__ = ("scenario_id", "character_id", "request_id", "after")
    SCENARIO_ID_FIELD_NUMBER: _ClassVar[int]
    CHARACTER_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    scenario_id: str
    character_id: str
    request_id: str
    after: str
    def __init__(self, scenario_id: _Optional[str] = ..., character_id: _Optional[str] = ..., request_id: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class StreamOpeningResponse(_message.Message):
    __slots__ = ("sequence", "progress", "token", "complete", "failed", "stopped", "seam", "gap", "cursor")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    SEAM_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    progress: _stream_events_pb2.Progress
    token: Token
    complete: ReplySummary
    failed: _stream_events_pb2.Failure
    stopped: ReplySummary
    seam: _stream_events_pb2.Seam
    gap: _stream_events_pb2.Gap
    cursor: str
    def __init__(self, sequence: _Optional[int] = ..., progress: _Optional[_Union[_stream_events_pb2.Progress, _Mapping]] = ..., token: _Optional[_Union[Token, _Mapping]] = ..., complete: _Optional[_Union[ReplySummary, _Mapping]] = ..., failed: _Optional[_Union[_stream_events_pb2.Failure, _Mapping]] = ..., stopped: _Optional[_Union[ReplySummary, _Mapping]] = ..., seam: _Optional[_Union[_stream_events_pb2.Seam, _Mapping]] = ..., gap: _Optional[_Union[_stream_events_pb2.Gap, _Mapping]] = ..., cursor: _Optional[str] = ...) -> None: ...

class WatchReplyRequest(_message.Message):
    __slots__ = ("conversation_id", "message_id", "after")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    message_id: str
    after: str
    def __init__(self, conversation_id: _Optional[str] = ..., message_id: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class WatchReplyResponse(_message.Message):
    __slots__ = ("sequence", "progress", "token", "complete", "failed", "stopped", "seam", "gap", "cursor")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    SEAM_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    progress: _stream_events_pb2.Progress
    token: Token
    complete: ReplySummary
    failed: _stream_events_pb2.Failure
    stopped: ReplySummary
    seam: _stream_events_pb2.Seam
    gap: _stream_events_pb2.Gap
    cursor: str
    def __init__(self, sequence: _Optional[int] = ..., progress: _Optional[_Union[_stream_events_pb2.Progress, _Mapping]] = ..., token: _Optional[_Union[Token, _Mapping]] = ..., complete: _Optional[_Union[ReplySummary, _Mapping]] = ..., failed: _Optional[_Union[_stream_events_pb2.Failure, _Mapping]] = ..., stopped: _Optional[_Union[ReplySummary, _Mapping]] = ..., seam: _Optional[_Union[_stream_events_pb2.Seam, _Mapping]] = ..., gap: _Optional[_Union[_stream_events_pb2.Gap, _Mapping]] = ..., cursor: _Optional[str] = ...) -> None: ...

class RegenerateReplyRequest(_message.Message):
    __slots__ = ("conversation_id", "message_id", "request_id", "after")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    message_id: str
    request_id: str
    after: str
    def __init__(self, conversation_id: _Optional[str] = ..., message_id: _Optional[str] = ..., request_id: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class RegenerateReplyResponse(_message.Message):
    __slots__ = ("sequence", "progress", "token", "complete", "failed", "stopped", "seam", "gap", "cursor")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    SEAM_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    progress: _stream_events_pb2.Progress
    token: Token
    complete: ReplySummary
    failed: _stream_events_pb2.Failure
    stopped: ReplySummary
    seam: _stream_events_pb2.Seam
    gap: _stream_events_pb2.Gap
    cursor: str
    def __init__(self, sequence: _Optional[int] = ..., progress: _Optional[_Union[_stream_events_pb2.Progress, _Mapping]] = ..., token: _Optional[_Union[Token, _Mapping]] = ..., complete: _Optional[_Union[ReplySummary, _Mapping]] = ..., failed: _Optional[_Union[_stream_events_pb2.Failure, _Mapping]] = ..., stopped: _Optional[_Union[ReplySummary, _Mapping]] = ..., seam: _Optional[_Union[_stream_events_pb2.Seam, _Mapping]] = ..., gap: _Optional[_Union[_stream_events_pb2.Gap, _Mapping]] = ..., cursor: _Optional[str] = ...) -> None: ...

class EditMessageRequest(_message.Message):
    __slots__ = ("conversation_id", "message_id", "content", "request_id", "after")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    message_id: str
    content: str
    request_id: str
    after: str
    def __init__(self, conversation_id: _Optional[str] = ..., message_id: _Optional[str] = ..., content: _Optional[str] = ..., request_id: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class EditMessageResponse(_message.Message):
    __slots__ = ("sequence", "progress", "token", "complete", "failed", "stopped", "seam", "gap", "cursor")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    SEAM_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    progress: _stream_events_pb2.Progress
    token: Token
    complete: ReplySummary
    failed: _stream_events_pb2.Failure
    stopped: ReplySummary
    seam: _stream_events_pb2.Seam
    gap: _stream_events_pb2.Gap
    cursor: str
    def __init__(self, sequence: _Optional[int] = ..., progress: _Optional[_Union[_stream_events_pb2.Progress, _Mapping]] = ..., token: _Optional[_Union[Token, _Mapping]] = ..., complete: _Optional[_Union[ReplySummary, _Mapping]] = ..., failed: _Optional[_Union[_stream_events_pb2.Failure, _Mapping]] = ..., stopped: _Optional[_Union[ReplySummary, _Mapping]] = ..., seam: _Optional[_Union[_stream_events_pb2.Seam, _Mapping]] = ..., gap: _Optional[_Union[_stream_events_pb2.Gap, _Mapping]] = ..., cursor: _Optional[str] = ...) -> None: ...

class StopReplyRequest(_message.Message):
    __slots__ = ("conversation_id", "message_id")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    message_id: str
    def __init__(self, conversation_id: _Optional[str] = ..., message_id: _Optional[str] = ...) -> None: ...

class StopReplyResponse(_message.Message):
    __slots__ = ("message_id", "outcome", "content")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    outcome: str
    content: str
    def __init__(self, message_id: _Optional[str] = ..., outcome: _Optional[str] = ..., content: _Optional[str] = ...) -> None: ...

class FinishReplyRequest(_message.Message):
    __slots__ = ("message_id",)
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    def __init__(self, message_id: _Optional[str] = ...) -> None: ...

class FinishReplyResponse(_message.Message):
    __slots__ = ("outcome",)
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    outcome: str
    def __init__(self, outcome: _Optional[str] = ...) -> None: ...

class ListOrphansRequest(_message.Message):
    __slots__ = ("limit",)
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    limit: int
    def __init__(self, limit: _Optional[int] = ...) -> None: ...

class ListOrphansResponse(_message.Message):
    __slots__ = ("message_ids",)
    MESSAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    message_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, message_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class Token(_message.Message):
    __slots__ = ("content",)
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    content: str
    def __init__(self, content: _Optional[str] = ...) -> None: ...

class ReplySummary(_message.Message):
    __slots__ = ("conversation_id", "message_id", "content", "usage", "provider", "model", "passage_ids", "degraded", "citations")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PASSAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    CITATIONS_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    message_id: str
    content: str
    usage: Usage
    provider: str
    model: str
    passage_ids: _containers.RepeatedScalarFieldContainer[str]
    degraded: _containers.RepeatedScalarFieldContainer[str]
    citations: _containers.RepeatedCompositeFieldContainer[_citation_pb2.Citation]
    def __init__(self, conversation_id: _Optional[str] = ..., message_id: _Optional[str] = ..., content: _Optional[str] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., provider: _Optional[str] = ..., model: _Optional[str] = ..., passage_ids: _Optional[_Iterable[str]] = ..., degraded: _Optional[_Iterable[str]] = ..., citations: _Optional[_Iterable[_Union[_citation_pb2.Citation, _Mapping]]] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("prompt_tokens", "completion_tokens", "first_token_ms", "total_ms")
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    FIRST_TOKEN_MS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MS_FIELD_NUMBER: _ClassVar[int]
    prompt_tokens: int
    completion_tokens: int
    first_token_ms: int
    total_ms: int
    def __init__(self, prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ..., first_token_ms: _Optional[int] = ..., total_ms: _Optional[int] = ...) -> None: ...

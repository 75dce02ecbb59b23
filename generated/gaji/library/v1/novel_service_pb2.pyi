import datetime

from gaji.gateway.v1 import edge_pb2 as _edge_pb2
from gaji.gateway.v1 import stream_events_pb2 as _stream_events_pb2
from gaji.mesh.v1 import peers_pb2 as _peers_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Visibility(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VISIBILITY_UNSPECIFIED: _ClassVar[Visibility]
    VISIBILITY_PRIVATE: _ClassVar[Visibility]
    VISIBILITY_PUBLIC: _ClassVar[Visibility]

class IngestionStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INGESTION_STATUS_UNSPECIFIED: _ClassVar[IngestionStatus]
    INGESTION_STATUS_PENDING: _ClassVar[IngestionStatus]
    INGESTION_STATUS_RUNNING: _ClassVar[IngestionStatus]
    INGESTION_STATUS_COMPLETE: _ClassVar[IngestionStatus]
    INGESTION_STATUS_FAILED: _ClassVar[IngestionStatus]
VISIBILITY_UNSPECIFIED: Visibility
VISIBILITY_PRIVATE: Visibility
VISIBILITY_PUBLIC: Visibility
INGESTION_STATUS_UNSPECIFIED: IngestionStatus
INGESTION_STATUS_PENDING: IngestionStatus
INGESTION_STATUS_RUNNING: IngestionStatus
INGESTION_STATUS_COMPLETE: IngestionStatus
INGESTION_STATUS_FAILED: IngestionStatus

class Novel(_message.Message):
    __slots__ = ("novel_id", "owner_id", "title", "author", "language", "visibility", "status", "words", "chapters", "passages", "characters", "failure", "created_at", "updated_at")
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    VISIBILITY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    CHAPTERS_FIELD_NUMBER: _ClassVar[int]
    PASSAGES_FIELD_NUMBER: _ClassVar[int]
    CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    owner_id: str
    title: str
    author: str
    language: str
    visibility: Visibility
    status: IngestionStatus
    words: int
    chapters: int
    passages: int
    characters: int
    failure: _stream_events_pb2.Failure
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    def __init__(self, novel_id: _Optional[str] = ..., owner_id: _Optional[str] = ..., title: _Optional[str] = ..., author: _Optional[str] = ..., language: _Optional[str] = ..., visibility: _Optional[_Union[Visibility, str]] = ..., status: _Optional[_Union[IngestionStatus, str]] = ..., words: _Optional[int] = ..., chapters: _Optional[int] = ..., passages: _Optional[int] = ..., characters: _Optional[int] = ..., failure: _Optional[_Union[_stream_events_pb2.Failure, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateNovelRequest(_message.Message):
    __slots__ = ("title", "author", "language", "text", "visibility", "request_id", "file", "file_name")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    VISIBILITY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    title: str
    author: str
    language: str
    text: str
    visibility: Visibility
    request_id: str
    file: bytes
    file_name: str
    def __init__(self, title: _Optional[str] = ..., author: _Optional[str] = ..., language: _Optional[str] = ..., text: _Optional[str] = ..., visibility: _Optional[_Union[Visibility, str]] = ..., request_id: _Optional[str] = ..., file: _Optional[bytes] = ..., file_name: _Optional[str] = ...) -> None: ...

class CreateNovelResponse(_message.Message):
    __slots__ = ("novel_id", "status")
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    status: IngestionStatus
    def __init__(self, novel_id: _Optional[str] = ..., status: _Optional[_Union[IngestionStatus, str]] = ...) -> None: ...

class GetNovelRequest(_message.Message):
    __slots__ = ("novel_id",)
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    def __init__(self, novel_id: _Optional[str] = ...) -> None: ...

class GetNovelResponse(_message.Message):
    __slots__ = ("novel",)
    NOVEL_FIELD_NUMBER: _ClassVar[int]
    novel: Novel
    def __init__(self, novel: _Optional[_Union[Novel, _Mapping]] = ...) -> None: ...

class ListNovelsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListNovelsResponse(_message.Message):
    __slots__ = ("novels", "next_page_token")
    NOVELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    novels: _containers.RepeatedCompositeFieldContainer[Novel]
    next_page_token: str
    def __init__(self, novels: _Optional[_Iterable[_Union[Novel, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateNovelRequest(_message.Message):
    __slots__ = ("novel_id", "title", "author")
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    title: str
    author: str
    def __init__(self, novel_id: _Optional[str] = ..., title: _Optional[str] = ..., author: _Optional[str] = ...) -> None: ...

class UpdateNovelResponse(_message.Message):
    __slots__ = ("novel",)
    NOVEL_FIELD_NUMBER: _ClassVar[int]
    novel: Novel
    def __init__(self, novel: _Optional[_Union[Novel, _Mapping]] = ...) -> None: ...

class DeleteNovelRequest(_message.Message):
    __slots__ = ("novel_id",)
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    def __init__(self, novel_id: _Optional[str] = ...) -> None: ...

class DeleteNovelResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchIngestionRequest(_message.Message):
    __slots__ = ("novel_id", "after")
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    after: str
    def __init__(self, novel_id: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class WatchIngestionResponse(_message.Message):
    __slots__ = ("sequence", "progress", "complete", "failed", "gap", "cursor")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    progress: _stream_events_pb2.Progress
    complete: Novel
    failed: _stream_events_pb2.Failure
    gap: _stream_events_pb2.Gap
    cursor: str
    def __init__(self, sequence: _Optional[int] = ..., progress: _Optional[_Union[_stream_events_pb2.Progress, _Mapping]] = ..., complete: _Optional[_Union[Novel, _Mapping]] = ..., failed: _Optional[_Union[_stream_events_pb2.Failure, _Mapping]] = ..., gap: _Optional[_Union[_stream_events_pb2.Gap, _Mapping]] = ..., cursor: _Optional[str] = ...) -> None: ...

class CancelIngestionRequest(_message.Message):
    __slots__ = ("novel_id",)
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    def __init__(self, novel_id: _Optional[str] = ...) -> None: ...

class CancelIngestionResponse(_message.Message):
    __slots__ = ("novel",)
    NOVEL_FIELD_NUMBER: _ClassVar[int]
    novel: Novel
    def __init__(self, novel: _Optional[_Union[Novel, _Mapping]] = ...) -> None: ...

class ReingestNovelRequest(_message.Message):
    __slots__ = ("novel_id",)
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    def __init__(self, novel_id: _Optional[str] = ...) -> None: ...

class ReingestNovelResponse(_message.Message):
    __slots__ = ("novel",)
    NOVEL_FIELD_NUMBER: _ClassVar[int]
    novel: Novel
    def __init__(self, novel: _Optional[_Union[Novel, _Mapping]] = ...) -> None: ...

class RunIngestionRequest(_message.Message):
    __slots__ = ("novel_id",)
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    def __init__(self, novel_id: _Optional[str] = ...) -> None: ...

class RunIngestionResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: IngestionStatus
    def __init__(self, status: _Optional[_Union[IngestionStatus, str]] = ...) -> None: ...

class ListWaitingNovelsRequest(_message.Message):
    __slots__ = ("limit",)
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    limit: int
    def __init__(self, limit: _Optional[int] = ...) -> None: ...

class ListWaitingNovelsResponse(_message.Message):
    __slots__ = ("novel_ids",)
    NOVEL_IDS_FIELD_NUMBER: _ClassVar[int]
    novel_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, novel_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class AbandonIngestionRequest(_message.Message):
    __slots__ = ("novel_id", "failure")
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    failure: _stream_events_pb2.Failure
    def __init__(self, novel_id: _Optional[str] = ..., failure: _Optional[_Union[_stream_events_pb2.Failure, _Mapping]] = ...) -> None: ...

class AbandonIngestionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UpdateCharacterRequest(_message.Message):
    __slots__ = ("character_id", "name", "aliases", "description", "hidden", "merged_into_id", "reset")
    CHARACTER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    HIDDEN_FIELD_NUMBER: _ClassVar[int]
    MERGED_INTO_ID_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    character_id: str
    name: str
    aliases: CharacterAliases
    description: str
    hidden: bool
    merged_into_id: str
    reset: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, character_id: _Optional[str] = ..., name: _Optional[str] = ..., aliases: _Optional[_Union[CharacterAliases, _Mapping]] = ..., description: _Optional[str] = ..., hidden: _Optional[bool] = ..., merged_into_id: _Optional[str] = ..., reset: _Optional[_Iterable[str]] = ...) -> None: ...

class CharacterAliases(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class UpdateCharacterResponse(_message.Message):
    __slots__ = ("character",)
    CHARACTER_FIELD_NUMBER: _ClassVar[int]
    character: EditedCharacter
    def __init__(self, character: _Optional[_Union[EditedCharacter, _Mapping]] = ...) -> None: ...

class EditedCharacter(_message.Message):
    __slots__ = ("character_id", "novel_id", "name", "aliases", "description", "hidden", "merged_into_id", "shown")
    CHARACTER_ID_FIELD_NUMBER: _ClassVar[int]
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    HIDDEN_FIELD_NUMBER: _ClassVar[int]
    MERGED_INTO_ID_FIELD_NUMBER: _ClassVar[int]
    SHOWN_FIELD_NUMBER: _ClassVar[int]
    character_id: str
    novel_id: str
    name: str
    aliases: CharacterAliases
    description: str
    hidden: bool
    merged_into_id: str
    shown: bool
    def __init__(self, character_id: _Optional[str] = ..., novel_id: _Optional[str] = ..., name: _Optional[str] = ..., aliases: _Optional[_Union[CharacterAliases, _Mapping]] = ..., description: _Optional[str] = ..., hidden: _Optional[bool] = ..., merged_into_id: _Optional[str] = ..., shown: _Optional[bool] = ...) -> None: ...

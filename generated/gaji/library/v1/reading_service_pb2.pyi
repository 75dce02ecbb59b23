import datetime

from gaji.gateway.v1 import edge_pb2 as _edge_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReadingProgress(_message.Message):
    __slots__ = ("novel_id", "chapter", "updated_at")
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    CHAPTER_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    chapter: int
    updated_at: _timestamp_pb2.Timestamp
    def __init__(self, novel_id: _Optional[str] = ..., chapter: _Optional[int] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SetReadingProgressRequest(_message.Message):
    __slots__ = ("novel_id", "chapter")
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    CHAPTER_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    chapter: int
    def __init__(self, novel_id: _Optional[str] = ..., chapter: _Optional[int] = ...) -> None: ...

class SetReadingProgressResponse(_message.Message):
    __slots__ = ("progress",)
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    progress: ReadingProgress
    def __init__(self, progress: _Optional[_Union[ReadingProgress, _Mapping]] = ...) -> None: ...

class GetReadingProgressRequest(_message.Message):
    __slots__ = ("novel_id",)
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    def __init__(self, novel_id: _Optional[str] = ...) -> None: ...

class GetReadingProgressResponse(_message.Message):
    __slots__ = ("progress",)
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    progress: ReadingProgress
    def __init__(self, progress: _Optional[_Union[ReadingProgress, _Mapping]] = ...) -> None: ...

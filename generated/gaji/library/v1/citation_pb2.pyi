from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Citation(_message.Message):
    __slots__ = ("passage_id", "chapter", "chapter_title", "position", "excerpt", "score")
    PASSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    CHAPTER_FIELD_NUMBER: _ClassVar[int]
    CHAPTER_TITLE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    EXCERPT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    passage_id: str
    chapter: int
    chapter_title: str
    position: int
    excerpt: str
    score: float
    def __init__(self, passage_id: _Optional[str] = ..., chapter: _Optional[int] = ..., chapter_title: _Optional[str] = ..., position: _Optional[int] = ..., excerpt: _Optional[str] = ..., score: _Optional[float] = ...) -> None: ...

from gaji.gateway.v1 import edge_pb2 as _edge_pb2
from gaji.gateway.v1 import stream_events_pb2 as _stream_events_pb2
from gaji.mesh.v1 import peers_pb2 as _peers_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IngestNovelRequest(_message.Message):
    __slots__ = ("novel_id", "owner_id", "public", "title", "author", "language", "text")
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_ID_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    owner_id: str
    public: bool
    title: str
    author: str
    language: str
    text: str
    def __init__(self, novel_id: _Optional[str] = ..., owner_id: _Optional[str] = ..., public: _Optional[bool] = ..., title: _Optional[str] = ..., author: _Optional[str] = ..., language: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class IngestNovelResponse(_message.Message):
    __slots__ = ("sequence", "progress", "complete")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    progress: _stream_events_pb2.Progress
    complete: IngestionSummary
    def __init__(self, sequence: _Optional[int] = ..., progress: _Optional[_Union[_stream_events_pb2.Progress, _Mapping]] = ..., complete: _Optional[_Union[IngestionSummary, _Mapping]] = ...) -> None: ...

class IngestionSummary(_message.Message):
    __slots__ = ("novel_id", "language", "words", "chapters", "passages", "characters", "default_passages", "found_characters")
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    CHAPTERS_FIELD_NUMBER: _ClassVar[int]
    PASSAGES_FIELD_NUMBER: _ClassVar[int]
    CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_PASSAGES_FIELD_NUMBER: _ClassVar[int]
    FOUND_CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    language: str
    words: int
    chapters: int
    passages: int
    characters: int
    default_passages: _containers.RepeatedCompositeFieldContainer[Passage]
    found_characters: _containers.RepeatedCompositeFieldContainer[Character]
    def __init__(self, novel_id: _Optional[str] = ..., language: _Optional[str] = ..., words: _Optional[int] = ..., chapters: _Optional[int] = ..., passages: _Optional[int] = ..., characters: _Optional[int] = ..., default_passages: _Optional[_Iterable[_Union[Passage, _Mapping]]] = ..., found_characters: _Optional[_Iterable[_Union[Character, _Mapping]]] = ...) -> None: ...

class SearchPassagesRequest(_message.Message):
    __slots__ = ("novel_id", "query", "top_k", "until_chapter")
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    UNTIL_CHAPTER_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    query: str
    top_k: int
    until_chapter: int
    def __init__(self, novel_id: _Optional[str] = ..., query: _Optional[str] = ..., top_k: _Optional[int] = ..., until_chapter: _Optional[int] = ...) -> None: ...

class SearchPassagesResponse(_message.Message):
    __slots__ = ("passages", "reranked_by")
    PASSAGES_FIELD_NUMBER: _ClassVar[int]
    RERANKED_BY_FIELD_NUMBER: _ClassVar[int]
    passages: _containers.RepeatedCompositeFieldContainer[Passage]
    reranked_by: str
    def __init__(self, passages: _Optional[_Iterable[_Union[Passage, _Mapping]]] = ..., reranked_by: _Optional[str] = ...) -> None: ...

class Passage(_message.Message):
    __slots__ = ("id", "content", "chapter", "position", "score", "distance", "chapter_title", "novel_id", "previous_id", "next_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    CHAPTER_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    CHAPTER_TITLE_FIELD_NUMBER: _ClassVar[int]
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_ID_FIELD_NUMBER: _ClassVar[int]
    NEXT_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    content: str
    chapter: int
    position: int
    score: float
    distance: float
    chapter_title: str
    novel_id: str
    previous_id: str
    next_id: str
    def __init__(self, id: _Optional[str] = ..., content: _Optional[str] = ..., chapter: _Optional[int] = ..., position: _Optional[int] = ..., score: _Optional[float] = ..., distance: _Optional[float] = ..., chapter_title: _Optional[str] = ..., novel_id: _Optional[str] = ..., previous_id: _Optional[str] = ..., next_id: _Optional[str] = ...) -> None: ...

class GetPassagesRequest(_message.Message):
    __slots__ = ("novel_id", "passage_ids", "until_chapter")
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    PASSAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    UNTIL_CHAPTER_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    passage_ids: _containers.RepeatedScalarFieldContainer[str]
    until_chapter: int
    def __init__(self, novel_id: _Optional[str] = ..., passage_ids: _Optional[_Iterable[str]] = ..., until_chapter: _Optional[int] = ...) -> None: ...

class GetPassagesResponse(_message.Message):
    __slots__ = ("passages",)
    PASSAGES_FIELD_NUMBER: _ClassVar[int]
    passages: _containers.RepeatedCompositeFieldContainer[Passage]
    def __init__(self, passages: _Optional[_Iterable[_Union[Passage, _Mapping]]] = ...) -> None: ...

class Character(_message.Message):
    __slots__ = ("character_id", "novel_id", "name", "aliases", "description", "mentions", "first_chapter", "passage_ids", "importance", "relations", "speech_samples", "alias_chapters", "edited", "hidden", "merged_into_id")
    CHARACTER_ID_FIELD_NUMBER: _ClassVar[int]
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    MENTIONS_FIELD_NUMBER: _ClassVar[int]
    FIRST_CHAPTER_FIELD_NUMBER: _ClassVar[int]
    PASSAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    IMPORTANCE_FIELD_NUMBER: _ClassVar[int]
    RELATIONS_FIELD_NUMBER: _ClassVar[int]
    SPEECH_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    ALIAS_CHAPTERS_FIELD_NUMBER: _ClassVar[int]
    EDITED_FIELD_NUMBER: _ClassVar[int]
    HIDDEN_FIELD_NUMBER: _ClassVar[int]
    MERGED_INTO_ID_FIELD_NUMBER: _ClassVar[int]
    character_id: str
    novel_id: str
    name: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    description: str
    mentions: int
    first_chapter: int
    passage_ids: _containers.RepeatedScalarFieldContainer[str]
    importance: float
    relations: _containers.RepeatedCompositeFieldContainer[Relation]
    speech_samples: _containers.RepeatedCompositeFieldContainer[SpeechSample]
    alias_chapters: _containers.RepeatedScalarFieldContainer[int]
    edited: bool
    hidden: bool
    merged_into_id: str
    def __init__(self, character_id: _Optional[str] = ..., novel_id: _Optional[str] = ..., name: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., description: _Optional[str] = ..., mentions: _Optional[int] = ..., first_chapter: _Optional[int] = ..., passage_ids: _Optional[_Iterable[str]] = ..., importance: _Optional[float] = ..., relations: _Optional[_Iterable[_Union[Relation, _Mapping]]] = ..., speech_samples: _Optional[_Iterable[_Union[SpeechSample, _Mapping]]] = ..., alias_chapters: _Optional[_Iterable[int]] = ..., edited: _Optional[bool] = ..., hidden: _Optional[bool] = ..., merged_into_id: _Optional[str] = ...) -> None: ...

class Relation(_message.Message):
    __slots__ = ("character_id", "name", "kind", "strength", "together", "first_chapter", "kind_chapter")
    CHARACTER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STRENGTH_FIELD_NUMBER: _ClassVar[int]
    TOGETHER_FIELD_NUMBER: _ClassVar[int]
    FIRST_CHAPTER_FIELD_NUMBER: _ClassVar[int]
    KIND_CHAPTER_FIELD_NUMBER: _ClassVar[int]
    character_id: str
    name: str
    kind: str
    strength: float
    together: int
    first_chapter: int
    kind_chapter: int
    def __init__(self, character_id: _Optional[str] = ..., name: _Optional[str] = ..., kind: _Optional[str] = ..., strength: _Optional[float] = ..., together: _Optional[int] = ..., first_chapter: _Optional[int] = ..., kind_chapter: _Optional[int] = ...) -> None: ...

class SpeechSample(_message.Message):
    __slots__ = ("content", "chapter", "passage_id")
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    CHAPTER_FIELD_NUMBER: _ClassVar[int]
    PASSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    content: str
    chapter: int
    passage_id: str
    def __init__(self, content: _Optional[str] = ..., chapter: _Optional[int] = ..., passage_id: _Optional[str] = ...) -> None: ...

class CharacterEdit(_message.Message):
    __slots__ = ("character_id", "name", "aliases", "description", "hidden", "merged_into_id")
    CHARACTER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    HIDDEN_FIELD_NUMBER: _ClassVar[int]
    MERGED_INTO_ID_FIELD_NUMBER: _ClassVar[int]
    character_id: str
    name: str
    aliases: Aliases
    description: str
    hidden: bool
    merged_into_id: str
    def __init__(self, character_id: _Optional[str] = ..., name: _Optional[str] = ..., aliases: _Optional[_Union[Aliases, _Mapping]] = ..., description: _Optional[str] = ..., hidden: _Optional[bool] = ..., merged_into_id: _Optional[str] = ...) -> None: ...

class Aliases(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class SetCharacterEditsRequest(_message.Message):
    __slots__ = ("novel_id", "revision", "edits")
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    EDITS_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    revision: int
    edits: _containers.RepeatedCompositeFieldContainer[CharacterEdit]
    def __init__(self, novel_id: _Optional[str] = ..., revision: _Optional[int] = ..., edits: _Optional[_Iterable[_Union[CharacterEdit, _Mapping]]] = ...) -> None: ...

class SetCharacterEditsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListCharactersRequest(_message.Message):
    __slots__ = ("novel_id", "page_size", "page_token", "until_chapter", "as_found")
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    UNTIL_CHAPTER_FIELD_NUMBER: _ClassVar[int]
    AS_FOUND_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    page_size: int
    page_token: str
    until_chapter: int
    as_found: bool
    def __init__(self, novel_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., until_chapter: _Optional[int] = ..., as_found: _Optional[bool] = ...) -> None: ...

class ListCharactersResponse(_message.Message):
    __slots__ = ("characters", "next_page_token")
    CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    characters: _containers.RepeatedCompositeFieldContainer[Character]
    next_page_token: str
    def __init__(self, characters: _Optional[_Iterable[_Union[Character, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetCharacterRequest(_message.Message):
    __slots__ = ("character_id", "until_chapter")
    CHARACTER_ID_FIELD_NUMBER: _ClassVar[int]
    UNTIL_CHAPTER_FIELD_NUMBER: _ClassVar[int]
    character_id: str
    until_chapter: int
    def __init__(self, character_id: _Optional[str] = ..., until_chapter: _Optional[int] = ...) -> None: ...

class GetCharacterResponse(_message.Message):
    __slots__ = ("character", "until_chapter")
    CHARACTER_FIELD_NUMBER: _ClassVar[int]
    UNTIL_CHAPTER_FIELD_NUMBER: _ClassVar[int]
    character: Character
    until_chapter: int
    def __init__(self, character: _Optional[_Union[Character, _Mapping]] = ..., until_chapter: _Optional[int] = ...) -> None: ...

class DeleteNovelRequest(_message.Message):
    __slots__ = ("novel_id",)
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    def __init__(self, novel_id: _Optional[str] = ...) -> None: ...

class DeleteNovelResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Chapter(_message.Message):
    __slots__ = ("chapter", "title", "first_passage_id", "passages")
    CHAPTER_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    FIRST_PASSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    PASSAGES_FIELD_NUMBER: _ClassVar[int]
    chapter: int
    title: str
    first_passage_id: str
    passages: int
    def __init__(self, chapter: _Optional[int] = ..., title: _Optional[str] = ..., first_passage_id: _Optional[str] = ..., passages: _Optional[int] = ...) -> None: ...

class ListChaptersRequest(_message.Message):
    __slots__ = ("novel_id", "until_chapter")
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    UNTIL_CHAPTER_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    until_chapter: int
    def __init__(self, novel_id: _Optional[str] = ..., until_chapter: _Optional[int] = ...) -> None: ...

class ListChaptersResponse(_message.Message):
    __slots__ = ("chapters",)
    CHAPTERS_FIELD_NUMBER: _ClassVar[int]
    chapters: _containers.RepeatedCompositeFieldContainer[Chapter]
    def __init__(self, chapters: _Optional[_Iterable[_Union[Chapter, _Mapping]]] = ...) -> None: ...

class ReadAroundRequest(_message.Message):
    __slots__ = ("novel_id", "passage_id", "before", "after", "until_chapter")
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    PASSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    UNTIL_CHAPTER_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    passage_id: str
    before: int
    after: int
    until_chapter: int
    def __init__(self, novel_id: _Optional[str] = ..., passage_id: _Optional[str] = ..., before: _Optional[int] = ..., after: _Optional[int] = ..., until_chapter: _Optional[int] = ...) -> None: ...

class ReadAroundResponse(_message.Message):
    __slots__ = ("passages", "index", "more_before", "more_after", "until_chapter")
    PASSAGES_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    MORE_BEFORE_FIELD_NUMBER: _ClassVar[int]
    MORE_AFTER_FIELD_NUMBER: _ClassVar[int]
    UNTIL_CHAPTER_FIELD_NUMBER: _ClassVar[int]
    passages: _containers.RepeatedCompositeFieldContainer[Passage]
    index: int
    more_before: bool
    more_after: bool
    until_chapter: int
    def __init__(self, passages: _Optional[_Iterable[_Union[Passage, _Mapping]]] = ..., index: _Optional[int] = ..., more_before: _Optional[bool] = ..., more_after: _Optional[bool] = ..., until_chapter: _Optional[int] = ...) -> None: ...

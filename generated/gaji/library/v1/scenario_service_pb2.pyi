import datetime

from gaji.gateway.v1 import edge_pb2 as _edge_pb2
from gaji.library.v1 import novel_service_pb2 as _novel_service_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Scenario(_message.Message):
    __slots__ = ("scenario_id", "owner_id", "novel_id", "title", "description", "passage_ids", "visibility", "until_chapter", "created_at", "updated_at", "until_read")
    SCENARIO_ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_ID_FIELD_NUMBER: _ClassVar[int]
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PASSAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    VISIBILITY_FIELD_NUMBER: _ClassVar[int]
    UNTIL_CHAPTER_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    UNTIL_READ_FIELD_NUMBER: _ClassVar[int]
    scenario_id: str
    owner_id: str
    novel_id: str
    title: str
    description: str
    passage_ids: _containers.RepeatedScalarFieldContainer[str]
    visibility: _novel_service_pb2.Visibility
    until_chapter: int
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    until_read: bool
    def __init__(self, scenario_id: _Optional[str] = ..., owner_id: _Optional[str] = ..., novel_id: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., passage_ids: _Optional[_Iterable[str]] = ..., visibility: _Optional[_Union[_novel_service_pb2.Visibility, str]] = ..., until_chapter: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until_read: _Optional[bool] = ...) -> None: ...

class CreateScenarioRequest(_message.Message):
    __slots__ = ("novel_id", "title", "description", "passage_ids", "visibility", "until_chapter", "until_read")
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PASSAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    VISIBILITY_FIELD_NUMBER: _ClassVar[int]
    UNTIL_CHAPTER_FIELD_NUMBER: _ClassVar[int]
    UNTIL_READ_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    title: str
    description: str
    passage_ids: _containers.RepeatedScalarFieldContainer[str]
    visibility: _novel_service_pb2.Visibility
    until_chapter: int
    until_read: bool
    def __init__(self, novel_id: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., passage_ids: _Optional[_Iterable[str]] = ..., visibility: _Optional[_Union[_novel_service_pb2.Visibility, str]] = ..., until_chapter: _Optional[int] = ..., until_read: _Optional[bool] = ...) -> None: ...

class CreateScenarioResponse(_message.Message):
    __slots__ = ("scenario",)
    SCENARIO_FIELD_NUMBER: _ClassVar[int]
    scenario: Scenario
    def __init__(self, scenario: _Optional[_Union[Scenario, _Mapping]] = ...) -> None: ...

class GetScenarioRequest(_message.Message):
    __slots__ = ("scenario_id",)
    SCENARIO_ID_FIELD_NUMBER: _ClassVar[int]
    scenario_id: str
    def __init__(self, scenario_id: _Optional[str] = ...) -> None: ...

class GetScenarioResponse(_message.Message):
    __slots__ = ("scenario",)
    SCENARIO_FIELD_NUMBER: _ClassVar[int]
    scenario: Scenario
    def __init__(self, scenario: _Optional[_Union[Scenario, _Mapping]] = ...) -> None: ...

class ListScenariosRequest(_message.Message):
    __slots__ = ("novel_id", "page_size", "page_token")
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    page_size: int
    page_token: str
    def __init__(self, novel_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListScenariosResponse(_message.Message):
    __slots__ = ("scenarios", "next_page_token")
    SCENARIOS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    scenarios: _containers.RepeatedCompositeFieldContainer[Scenario]
    next_page_token: str
    def __init__(self, scenarios: _Optional[_Iterable[_Union[Scenario, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateScenarioRequest(_message.Message):
    __slots__ = ("scenario_id", "title", "description", "until_chapter", "until_read", "clear_until_chapter")
    SCENARIO_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    UNTIL_CHAPTER_FIELD_NUMBER: _ClassVar[int]
    UNTIL_READ_FIELD_NUMBER: _ClassVar[int]
    CLEAR_UNTIL_CHAPTER_FIELD_NUMBER: _ClassVar[int]
    scenario_id: str
    title: str
    description: str
    until_chapter: int
    until_read: bool
    clear_until_chapter: bool
    def __init__(self, scenario_id: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., until_chapter: _Optional[int] = ..., until_read: _Optional[bool] = ..., clear_until_chapter: _Optional[bool] = ...) -> None: ...

class UpdateScenarioResponse(_message.Message):
    __slots__ = ("scenario",)
    SCENARIO_FIELD_NUMBER: _ClassVar[int]
    scenario: Scenario
    def __init__(self, scenario: _Optional[_Union[Scenario, _Mapping]] = ...) -> None: ...

class DeleteScenarioRequest(_message.Message):
    __slots__ = ("scenario_id",)
    SCENARIO_ID_FIELD_NUMBER: _ClassVar[int]
    scenario_id: str
    def __init__(self, scenario_id: _Optional[str] = ...) -> None: ...

class DeleteScenarioResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

import datetime

from gaji.mesh.v1 import peers_pb2 as _peers_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LogLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_LEVEL_UNSPECIFIED: _ClassVar[LogLevel]
    LOG_LEVEL_DEBUG: _ClassVar[LogLevel]
    LOG_LEVEL_INFO: _ClassVar[LogLevel]
    LOG_LEVEL_WARNING: _ClassVar[LogLevel]
    LOG_LEVEL_ERROR: _ClassVar[LogLevel]
LOG_LEVEL_UNSPECIFIED: LogLevel
LOG_LEVEL_DEBUG: LogLevel
LOG_LEVEL_INFO: LogLevel
LOG_LEVEL_WARNING: LogLevel
LOG_LEVEL_ERROR: LogLevel

class LogOverride(_message.Message):
    __slots__ = ("logger", "level", "remaining")
    LOGGER_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    logger: str
    level: LogLevel
    remaining: _duration_pb2.Duration
    def __init__(self, logger: _Optional[str] = ..., level: _Optional[_Union[LogLevel, str]] = ..., remaining: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class GetLogLevelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetLogLevelsResponse(_message.Message):
    __slots__ = ("level", "overrides")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    level: LogLevel
    overrides: _containers.RepeatedCompositeFieldContainer[LogOverride]
    def __init__(self, level: _Optional[_Union[LogLevel, str]] = ..., overrides: _Optional[_Iterable[_Union[LogOverride, _Mapping]]] = ...) -> None: ...

class SetLogLevelRequest(_message.Message):
    __slots__ = ("logger", "level", "duration")
    LOGGER_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    logger: str
    level: LogLevel
    duration: _duration_pb2.Duration
    def __init__(self, logger: _Optional[str] = ..., level: _Optional[_Union[LogLevel, str]] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SetLogLevelResponse(_message.Message):
    __slots__ = ("overrides",)
    OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    overrides: _containers.RepeatedCompositeFieldContainer[LogOverride]
    def __init__(self, overrides: _Optional[_Iterable[_Union[LogOverride, _Mapping]]] = ...) -> None: ...

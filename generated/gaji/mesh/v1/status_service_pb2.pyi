import datetime

from gaji.mesh.v1 import breaker_service_pb2 as _breaker_service_pb2
from gaji.mesh.v1 import peers_pb2 as _peers_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Health(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HEALTH_UNSPECIFIED: _ClassVar[Health]
    HEALTH_SERVING: _ClassVar[Health]
    HEALTH_NOT_SERVING: _ClassVar[Health]
HEALTH_UNSPECIFIED: Health
HEALTH_SERVING: Health
HEALTH_NOT_SERVING: Health

class Status(_message.Message):
    __slots__ = ("service", "version", "started_at", "health", "breakers", "active_streams", "queues", "caches", "pools", "loop_seconds", "memory_bytes")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    BREAKERS_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_STREAMS_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    CACHES_FIELD_NUMBER: _ClassVar[int]
    POOLS_FIELD_NUMBER: _ClassVar[int]
    LOOP_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    service: str
    version: str
    started_at: _timestamp_pb2.Timestamp
    health: Health
    breakers: _containers.RepeatedCompositeFieldContainer[_breaker_service_pb2.Breaker]
    active_streams: int
    queues: _containers.RepeatedCompositeFieldContainer[Queue]
    caches: _containers.RepeatedCompositeFieldContainer[CacheCount]
    pools: _containers.RepeatedCompositeFieldContainer[Pool]
    loop_seconds: float
    memory_bytes: int
    def __init__(self, service: _Optional[str] = ..., version: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., health: _Optional[_Union[Health, str]] = ..., breakers: _Optional[_Iterable[_Union[_breaker_service_pb2.Breaker, _Mapping]]] = ..., active_streams: _Optional[int] = ..., queues: _Optional[_Iterable[_Union[Queue, _Mapping]]] = ..., caches: _Optional[_Iterable[_Union[CacheCount, _Mapping]]] = ..., pools: _Optional[_Iterable[_Union[Pool, _Mapping]]] = ..., loop_seconds: _Optional[float] = ..., memory_bytes: _Optional[int] = ...) -> None: ...

class Queue(_message.Message):
    __slots__ = ("name", "length", "oldest_seconds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    OLDEST_SECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    length: int
    oldest_seconds: float
    def __init__(self, name: _Optional[str] = ..., length: _Optional[int] = ..., oldest_seconds: _Optional[float] = ...) -> None: ...

class CacheCount(_message.Message):
    __slots__ = ("kind", "hits", "misses", "near")
    KIND_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    MISSES_FIELD_NUMBER: _ClassVar[int]
    NEAR_FIELD_NUMBER: _ClassVar[int]
    kind: str
    hits: int
    misses: int
    near: int
    def __init__(self, kind: _Optional[str] = ..., hits: _Optional[int] = ..., misses: _Optional[int] = ..., near: _Optional[int] = ...) -> None: ...

class Pool(_message.Message):
    __slots__ = ("name", "used", "limit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    used: int
    limit: int
    def __init__(self, name: _Optional[str] = ..., used: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: Status
    def __init__(self, status: _Optional[_Union[Status, _Mapping]] = ...) -> None: ...

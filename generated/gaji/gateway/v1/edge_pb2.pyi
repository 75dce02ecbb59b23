from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Access(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACCESS_UNSPECIFIED: _ClassVar[Access]
    ACCESS_PUBLIC: _ClassVar[Access]
    ACCESS_USER: _ClassVar[Access]
ACCESS_UNSPECIFIED: Access
ACCESS_PUBLIC: Access
ACCESS_USER: Access
EDGE_FIELD_NUMBER: _ClassVar[int]
edge: _descriptor.FieldDescriptor
COOKIE_FIELD_NUMBER: _ClassVar[int]
cookie: _descriptor.FieldDescriptor
LAST_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
last_event_id: _descriptor.FieldDescriptor
IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
idempotency_key: _descriptor.FieldDescriptor
ACCOUNT_FIELD_NUMBER: _ClassVar[int]
account: _descriptor.FieldDescriptor

class EdgePolicy(_message.Message):
    __slots__ = ("access", "cache_seconds", "rate_cost", "timeout_seconds", "success_status", "clear_cookies", "max_body_bytes", "limit", "stale_if_error_seconds")
    ACCESS_FIELD_NUMBER: _ClassVar[int]
    CACHE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RATE_COST_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_STATUS_FIELD_NUMBER: _ClassVar[int]
    CLEAR_COOKIES_FIELD_NUMBER: _ClassVar[int]
    MAX_BODY_BYTES_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    STALE_IF_ERROR_SECONDS_FIELD_NUMBER: _ClassVar[int]
    access: Access
    cache_seconds: int
    rate_cost: int
    timeout_seconds: int
    success_status: int
    clear_cookies: _containers.RepeatedScalarFieldContainer[str]
    max_body_bytes: int
    limit: str
    stale_if_error_seconds: int
    def __init__(self, access: _Optional[_Union[Access, str]] = ..., cache_seconds: _Optional[int] = ..., rate_cost: _Optional[int] = ..., timeout_seconds: _Optional[int] = ..., success_status: _Optional[int] = ..., clear_cookies: _Optional[_Iterable[str]] = ..., max_body_bytes: _Optional[int] = ..., limit: _Optional[str] = ..., stale_if_error_seconds: _Optional[int] = ...) -> None: ...

class CookiePolicy(_message.Message):
    __slots__ = ("name", "path", "max_age_field")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_FIELD_NUMBER: _ClassVar[int]
    name: str
    path: str
    max_age_field: str
    def __init__(self, name: _Optional[str] = ..., path: _Optional[str] = ..., max_age_field: _Optional[str] = ...) -> None: ...

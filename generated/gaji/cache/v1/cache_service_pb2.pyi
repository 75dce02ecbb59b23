from gaji.mesh.v1 import peers_pb2 as _peers_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LookupRequest(_message.Message):
    __slots__ = ("key", "wait_ms", "renews")
    KEY_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    RENEWS_FIELD_NUMBER: _ClassVar[int]
    key: str
    wait_ms: int
    renews: bool
    def __init__(self, key: _Optional[str] = ..., wait_ms: _Optional[int] = ..., renews: _Optional[bool] = ...) -> None: ...

class LookupResponse(_message.Message):
    __slots__ = ("hit", "lease", "contended", "absent")
    HIT_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    CONTENDED_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    hit: Hit
    lease: Lease
    contended: Contended
    absent: Absent
    def __init__(self, hit: _Optional[_Union[Hit, _Mapping]] = ..., lease: _Optional[_Union[Lease, _Mapping]] = ..., contended: _Optional[_Union[Contended, _Mapping]] = ..., absent: _Optional[_Union[Absent, _Mapping]] = ...) -> None: ...

class LookupManyRequest(_message.Message):
    __slots__ = ("lookups",)
    LOOKUPS_FIELD_NUMBER: _ClassVar[int]
    lookups: _containers.RepeatedCompositeFieldContainer[NumberedLookup]
    def __init__(self, lookups: _Optional[_Iterable[_Union[NumberedLookup, _Mapping]]] = ...) -> None: ...

class NumberedLookup(_message.Message):
    __slots__ = ("number", "key", "renews", "traceparent", "request_id")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    RENEWS_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    number: int
    key: str
    renews: bool
    traceparent: str
    request_id: str
    def __init__(self, number: _Optional[int] = ..., key: _Optional[str] = ..., renews: _Optional[bool] = ..., traceparent: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class LookupManyResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[NumberedResult]
    def __init__(self, results: _Optional[_Iterable[_Union[NumberedResult, _Mapping]]] = ...) -> None: ...

class NumberedResult(_message.Message):
    __slots__ = ("number", "found", "status")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    number: int
    found: LookupResponse
    status: bytes
    def __init__(self, number: _Optional[int] = ..., found: _Optional[_Union[LookupResponse, _Mapping]] = ..., status: _Optional[bytes] = ...) -> None: ...

class Hit(_message.Message):
    __slots__ = ("value", "ttl_ms", "fresh_ms", "renewal")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    FRESH_MS_FIELD_NUMBER: _ClassVar[int]
    RENEWAL_FIELD_NUMBER: _ClassVar[int]
    value: bytes
    ttl_ms: int
    fresh_ms: int
    renewal: Lease
    def __init__(self, value: _Optional[bytes] = ..., ttl_ms: _Optional[int] = ..., fresh_ms: _Optional[int] = ..., renewal: _Optional[_Union[Lease, _Mapping]] = ...) -> None: ...

class Absent(_message.Message):
    __slots__ = ("ttl_ms",)
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    ttl_ms: int
    def __init__(self, ttl_ms: _Optional[int] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ("lease_id", "ttl_ms")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    ttl_ms: int
    def __init__(self, lease_id: _Optional[str] = ..., ttl_ms: _Optional[int] = ...) -> None: ...

class Contended(_message.Message):
    __slots__ = ("retry_after_ms",)
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    retry_after_ms: int
    def __init__(self, retry_after_ms: _Optional[int] = ...) -> None: ...

class StoreRequest(_message.Message):
    __slots__ = ("key", "lease_id", "value", "absent")
    KEY_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    key: str
    lease_id: str
    value: bytes
    absent: bool
    def __init__(self, key: _Optional[str] = ..., lease_id: _Optional[str] = ..., value: _Optional[bytes] = ..., absent: _Optional[bool] = ...) -> None: ...

class StoreResponse(_message.Message):
    __slots__ = ("ttl_ms", "fresh_ms")
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    FRESH_MS_FIELD_NUMBER: _ClassVar[int]
    ttl_ms: int
    fresh_ms: int
    def __init__(self, ttl_ms: _Optional[int] = ..., fresh_ms: _Optional[int] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("key", "lease_id")
    KEY_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    key: str
    lease_id: str
    def __init__(self, key: _Optional[str] = ..., lease_id: _Optional[str] = ...) -> None: ...

class ReleaseResponse(_message.Message):
    __slots__ = ("released",)
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    released: bool
    def __init__(self, released: _Optional[bool] = ...) -> None: ...

class InvalidateRequest(_message.Message):
    __slots__ = ("keys", "prefixes")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    PREFIXES_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[str]
    prefixes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, keys: _Optional[_Iterable[str]] = ..., prefixes: _Optional[_Iterable[str]] = ...) -> None: ...

class InvalidateResponse(_message.Message):
    __slots__ = ("removed",)
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    removed: int
    def __init__(self, removed: _Optional[int] = ...) -> None: ...

class GetStatsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatsResponse(_message.Message):
    __slots__ = ("kinds", "store_available")
    KINDS_FIELD_NUMBER: _ClassVar[int]
    STORE_AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    kinds: _containers.RepeatedCompositeFieldContainer[KindStats]
    store_available: bool
    def __init__(self, kinds: _Optional[_Iterable[_Union[KindStats, _Mapping]]] = ..., store_available: _Optional[bool] = ...) -> None: ...

class KindStats(_message.Message):
    __slots__ = ("kind", "ttl_seconds", "hits", "misses", "stores", "invalidations", "stale", "absent", "fresh_seconds", "absent_seconds", "stored_bytes", "kept_bytes")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TTL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    MISSES_FIELD_NUMBER: _ClassVar[int]
    STORES_FIELD_NUMBER: _ClassVar[int]
    INVALIDATIONS_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    FRESH_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ABSENT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_FIELD_NUMBER: _ClassVar[int]
    KEPT_BYTES_FIELD_NUMBER: _ClassVar[int]
    kind: str
    ttl_seconds: int
    hits: int
    misses: int
    stores: int
    invalidations: int
    stale: int
    absent: int
    fresh_seconds: int
    absent_seconds: int
    stored_bytes: int
    kept_bytes: int
    def __init__(self, kind: _Optional[str] = ..., ttl_seconds: _Optional[int] = ..., hits: _Optional[int] = ..., misses: _Optional[int] = ..., stores: _Optional[int] = ..., invalidations: _Optional[int] = ..., stale: _Optional[int] = ..., absent: _Optional[int] = ..., fresh_seconds: _Optional[int] = ..., absent_seconds: _Optional[int] = ..., stored_bytes: _Optional[int] = ..., kept_bytes: _Optional[int] = ...) -> None: ...

class WatchInvalidationsRequest(_message.Message):
    __slots__ = ("kinds", "beats", "silence_ms")
    KINDS_FIELD_NUMBER: _ClassVar[int]
    BEATS_FIELD_NUMBER: _ClassVar[int]
    SILENCE_MS_FIELD_NUMBER: _ClassVar[int]
    kinds: _containers.RepeatedScalarFieldContainer[str]
    beats: bool
    silence_ms: int
    def __init__(self, kinds: _Optional[_Iterable[str]] = ..., beats: _Optional[bool] = ..., silence_ms: _Optional[int] = ...) -> None: ...

class WatchInvalidationsResponse(_message.Message):
    __slots__ = ("sequence", "watching", "invalidated", "beat")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    WATCHING_FIELD_NUMBER: _ClassVar[int]
    INVALIDATED_FIELD_NUMBER: _ClassVar[int]
    BEAT_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    watching: Watching
    invalidated: Invalidated
    beat: Beat
    def __init__(self, sequence: _Optional[int] = ..., watching: _Optional[_Union[Watching, _Mapping]] = ..., invalidated: _Optional[_Union[Invalidated, _Mapping]] = ..., beat: _Optional[_Union[Beat, _Mapping]] = ...) -> None: ...

class Watching(_message.Message):
    __slots__ = ("as_of_us",)
    AS_OF_US_FIELD_NUMBER: _ClassVar[int]
    as_of_us: int
    def __init__(self, as_of_us: _Optional[int] = ...) -> None: ...

class Beat(_message.Message):
    __slots__ = ("as_of_us",)
    AS_OF_US_FIELD_NUMBER: _ClassVar[int]
    as_of_us: int
    def __init__(self, as_of_us: _Optional[int] = ...) -> None: ...

class Invalidated(_message.Message):
    __slots__ = ("keys", "prefixes")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    PREFIXES_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[str]
    prefixes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, keys: _Optional[_Iterable[str]] = ..., prefixes: _Optional[_Iterable[str]] = ...) -> None: ...

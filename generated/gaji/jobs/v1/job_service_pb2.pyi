from gaji.mesh.v1 import peers_pb2 as _peers_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EnqueueRequest(_message.Message):
    __slots__ = ("finish_reply", "ingest_novel")
    FINISH_REPLY_FIELD_NUMBER: _ClassVar[int]
    INGEST_NOVEL_FIELD_NUMBER: _ClassVar[int]
    finish_reply: FinishReplyJob
    ingest_novel: IngestNovelJob
    def __init__(self, finish_reply: _Optional[_Union[FinishReplyJob, _Mapping]] = ..., ingest_novel: _Optional[_Union[IngestNovelJob, _Mapping]] = ...) -> None: ...

class FinishReplyJob(_message.Message):
    __slots__ = ("message_id",)
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    def __init__(self, message_id: _Optional[str] = ...) -> None: ...

class IngestNovelJob(_message.Message):
    __slots__ = ("novel_id",)
    NOVEL_ID_FIELD_NUMBER: _ClassVar[int]
    novel_id: str
    def __init__(self, novel_id: _Optional[str] = ...) -> None: ...

class EnqueueResponse(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

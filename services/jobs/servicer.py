"""JobService: proto to queue."""

from typing import Any, TypeAlias

import grpc
from gaji.jobs.v1 import job_service_pb2 as pb
from gaji.jobs.v1 import job_service_pb2_grpc as rpc

from mesh.errors import Unavailable
from mesh.validation import Violations
from services.jobs.domain import FINISH_REPLY, INGEST_NOVEL
from services.jobs.metrics import ENQUEUED
from services.jobs.ports import Queue, QueueUnavailableError

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class JobServicer(rpc.JobServiceServicer):
    """Serves a `Queue`."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    async def Enqueue(self, request: pb.EnqueueRequest, context: _Context) -> pb.EnqueueResponse:
        check = Violations()
        job, key = "", ""
        match request.WhichOneof("job"):
            case "finish_reply":
                job, key = FINISH_REPLY, request.finish_reply.message_id
                check.uuid("finish_reply.message_id", key)
            case "ingest_novel":
                job, key = INGEST_NOVEL, request.ingest_novel.novel_id
                check.uuid("ingest_novel.novel_id", key)
            case _:
                check.add("job", "is missing; give finish_reply or ingest_novel")
        check.raise_if_any()
        try:
            job_id = await self._queue.put(job, key)
        except QueueUnavailableError as error:
            ENQUEUED.labels(job, "error").inc()
            raise Unavailable(str(error), reason="QUEUE_UNAVAILABLE") from error
        ENQUEUED.labels(job, "queued").inc()
        return pb.EnqueueResponse(job_id=job_id)

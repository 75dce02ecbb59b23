"""How far readers have come."""

from gaji.library.v1 import reading_service_pb2 as pb
from gaji.library.v1 import reading_service_pb2_grpc as rpc

from mesh.interceptors.pipeline import Context
from services.library.domain.readings import Readings
from services.library.servicer import wire


class ReadingServicer(rpc.ReadingServiceServicer):
    """`gaji.library.v1.ReadingService`."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    async def SetReadingProgress(
        self, request: pb.SetReadingProgressRequest, context: Context
    ) -> pb.SetReadingProgressResponse:
        user_id = wire.caller()
        (novel_id,) = wire.uuids(novel_id=request.novel_id)
        chapter = request.chapter if request.HasField("chapter") else None
        progress = await self._readings.set(user_id, novel_id, chapter)
        return pb.SetReadingProgressResponse(progress=wire.reading_progress(progress))

    async def GetReadingProgress(
        self, request: pb.GetReadingProgressRequest, context: Context
    ) -> pb.GetReadingProgressResponse:
        user_id = wire.caller()
        (novel_id,) = wire.uuids(novel_id=request.novel_id)
        progress = await self._readings.get(user_id, novel_id)
        return pb.GetReadingProgressResponse(progress=wire.reading_progress(progress))

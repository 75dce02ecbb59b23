"""The status over gRPC."""

from typing import Any

from gaji.mesh.v1 import status_service_pb2 as pb
from gaji.mesh.v1 import status_service_pb2_grpc as rpc

from mesh.status.process import ProcessStatus

SERVICE = pb.DESCRIPTOR.services_by_name["StatusService"]


class StatusServicer(rpc.StatusServiceServicer):
    """Answers the gateway and operators.

    Args:
        status: the process's.
    """

    def __init__(self, status: ProcessStatus) -> None:
        self._status = status

    async def GetStatus(self, request: pb.GetStatusRequest, context: Any) -> pb.GetStatusResponse:
        return pb.GetStatusResponse(status=await self._status.now())

"""Generation's stand-in: streams numbered words, and stops what it is asked to at once.

Usage: python -m benchmarks.tracing.upstream PUBLIC_KEY_FILE; prints its address, and obeys
`benchmarks.tracing.modes`.
"""

import sys
from pathlib import Path
from typing import Any

import uvloop
from gaji.generation.v1 import generation_service_pb2 as pb
from gaji.generation.v1 import generation_service_pb2_grpc as rpc

from benchmarks.relay.upstream import Upstream
from benchmarks.tracing.modes import switched
from mesh.config import MeshSettings
from mesh.process import until_signal
from mesh.server import Service, open_server


class Answering(Upstream):
    """Answers StreamReply and StopReply."""

    async def StopReply(self, request: pb.StopReplyRequest, context: Any) -> pb.StopReplyResponse:  # noqa: N802 - the contract's name
        """Says that it has stopped."""
        return pb.StopReplyResponse(message_id=request.message_id, outcome="stopped", content="word1")


async def main() -> None:
    """Serves until a signal."""
    settings = MeshSettings(jwt_public_key_file=Path(sys.argv[1]))
    upstream = Answering()  # type: ignore[abstract]  # the rest stays unimplemented
    service = Service(
        pb.DESCRIPTOR.services_by_name["GenerationService"], upstream, rpc.add_GenerationServiceServicer_to_server
    )
    async with switched("upstream"), open_server(settings, [service], name="upstream") as server:
        print(server.address, flush=True)
        await until_signal()


if __name__ == "__main__":
    uvloop.run(main())

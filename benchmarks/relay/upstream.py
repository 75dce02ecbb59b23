"""The model's stand-in behind every gateway: streams numbered words at a given pace.

`content` of the request is ``"COUNT INTERVAL_MS"``; interval 0: as fast as it goes. It answers with COUNT token events
and one complete event, and stands on the mesh's own server, as generation does. With a third word, ``stamped``, tokens
are no words but the time at which they are made: `time.monotonic_ns`, which is one clock for all processes.

Usage: python -m benchmarks.relay.upstream PUBLIC_KEY_FILE; prints its address.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvloop
from gaji.generation.v1 import generation_service_pb2 as pb
from gaji.generation.v1 import generation_service_pb2_grpc as rpc

from mesh.config import MeshSettings
from mesh.process import until_signal
from mesh.server import Service, open_server

CURSOR = f"{'0123456789abcdef' * 2}.1."
WORDS = [f" word{number}" for number in range(100)]


class Upstream(rpc.GenerationServiceServicer):
    """Answers StreamReply only."""

    async def StreamReply(  # noqa: N802 - the contract's name
        self, request: pb.StreamReplyRequest, context: Any
    ) -> AsyncIterator[pb.StreamReplyResponse]:
        """Streams the words that `content` asks for."""
        count, interval_ms, *stamped = request.content.split()
        seconds = float(interval_ms) / 1000
        for sequence in range(1, int(count) + 1):
            token = pb.Token(content=str(time.monotonic_ns()) if stamped else WORDS[sequence % 100])
            yield pb.StreamReplyResponse(sequence=sequence, cursor=f"{CURSOR}{sequence}", token=token)
            if seconds:
                await asyncio.sleep(seconds)
        end = int(count) + 1
        yield pb.StreamReplyResponse(sequence=end, cursor=f"{CURSOR}{end}", complete=pb.ReplySummary(message_id="m"))


async def main() -> None:
    """Serves until a signal."""
    settings = MeshSettings(jwt_public_key_file=Path(sys.argv[1]))
    upstream = Upstream()  # type: ignore[abstract]  # the rest stays unimplemented
    service = Service(
        pb.DESCRIPTOR.services_by_name["GenerationService"], upstream, rpc.add_GenerationServiceServicer_to_server
    )
    async with open_server(settings, [service], name="upstream") as server:
        print(server.address, flush=True)
        await until_signal()


if __name__ == "__main__":
    uvloop.run(main())

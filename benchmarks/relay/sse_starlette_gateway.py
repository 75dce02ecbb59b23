"""The common way, as the peer: Starlette + sse-starlette + grpc.aio, one RPC a reader, no checks, no logs.

Usage: python -m benchmarks.relay.sse_starlette_gateway UPSTREAM PORT
"""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import uvicorn
from gaji.generation.v1 import generation_service_pb2 as pb
from gaji.generation.v1 import generation_service_pb2_grpc as rpc
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Opens the channel on the server's loop."""
    async with grpc.aio.insecure_channel(sys.argv[1]) as channel:
        app.state.stub = rpc.GenerationServiceStub(channel)
        yield


async def stream(request: Request) -> EventSourceResponse:
    """One reader's stream."""
    message = pb.StreamReplyRequest(
        conversation_id=request.path_params["conversation_id"], content=request.query_params["content"]
    )

    async def events() -> AsyncIterator[dict[str, Any]]:
        async for event in request.app.state.stub.StreamReply(message):
            if event.WhichOneof("event") == "token":
                yield {
                    "event": "token",
                    "id": event.cursor,
                    "data": json.dumps({"content": event.token.content}),
                }
            else:
                yield {"event": "complete", "data": json.dumps({"message_id": event.complete.message_id})}

    return EventSourceResponse(events())


if __name__ == "__main__":
    routes = [Route("/api/conversations/{conversation_id}/messages-stream", stream)]
    application = Starlette(routes=routes, lifespan=lifespan)
    uvicorn.run(application, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", access_log=False)

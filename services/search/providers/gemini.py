"""gemini-embedding-001 through google-genai: any language, over the network."""

from collections.abc import Sequence
from http import HTTPStatus
from importlib import import_module
from importlib.util import find_spec

import numpy as np

from mesh.errors import FailedPrecondition, MeshError, ResourceExhausted, Unavailable
from services.search.config import SearchSettings
from services.search.ports import Vectors
from services.search.providers.missing import not_installed

MODEL = "gemini-embedding-001"
ATTEMPTS = 3


class Gemini:
    """A client of the embedding model. Calls may overlap.

    The model's vectors are trained so that their beginnings are vectors too (Matryoshka representation learning): 384
    of the 3,072 numbers, the length of the local models, lose little, and need to be brought to unit length here.
    """

    name = "gemini"
    dimension = 384
    batch_size = 50
    parallel = 2

    def __init__(self, settings: SearchSettings) -> None:
        if settings.gemini_api_key is None:
            raise FailedPrecondition(
                "the embedding provider 'gemini' needs a key: set GEMINI_API_KEY", reason="EMBEDDER_NEEDS_KEY"
            )
        try:
            from google import genai  # noqa: PLC0415 - an extra
            from google.genai import errors, types  # noqa: PLC0415 - likewise
        except ImportError as error:
            raise not_installed(self.name, "gemini", error) from error
        self._types = types
        self._api_error = errors.APIError
        # Which of the two carries the calls depends on google-genai's version.
        transports = [import_module(name) for name in ("httpx", "httpx2") if find_spec(name)]
        self._transport_errors = tuple(transport.HTTPError for transport in transports)
        self._client = genai.Client(
            api_key=settings.gemini_api_key.get_secret_value(),
            http_options=types.HttpOptions(
                base_url=settings.gemini_base_url or None,
                timeout=round(settings.embed_timeout * 1000),
                retry_options=types.HttpRetryOptions(attempts=ATTEMPTS),
            ),
        )

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of passages."""
        return self._embedded(list(texts), "RETRIEVAL_DOCUMENT")

    def embed_query(self, text: str) -> Vectors:
        """The unit vector of a query."""
        vector: Vectors = self._embedded([text], "RETRIEVAL_QUERY")[0]
        return vector

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _embedded(self, texts: list[str], task: str) -> Vectors:
        config = self._types.EmbedContentConfig(task_type=task, output_dimensionality=self.dimension)
        try:
            response = self._client.models.embed_content(model=MODEL, contents=list(texts), config=config)
        except self._api_error as error:
            raise _translated(error.code, error.message or "") from error
        except self._transport_errors as error:
            raise Unavailable("Gemini does not answer; try again", reason="EMBEDDER_UNREACHABLE") from error
        rows = [embedding.values or [] for embedding in response.embeddings or []]
        if len(rows) != len(texts) or any(len(row) != self.dimension for row in rows):
            raise Unavailable("Gemini answered with other vectors than asked for", reason="EMBEDDER_UNREACHABLE")
        vectors = np.asarray(rows, dtype=np.float32)
        unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        return unit


def _translated(code: int, message: str) -> MeshError:
    if code == HTTPStatus.TOO_MANY_REQUESTS:
        return ResourceExhausted("Gemini's quota is used up; try again later", reason="EMBEDDER_QUOTA", retry_after=30)
    if code in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
        return FailedPrecondition(f"Gemini refused to embed: {message}", reason="EMBEDDER_REFUSED")
    return Unavailable("Gemini does not answer; try again", reason="EMBEDDER_UNREACHABLE")

"""Embedding providers by name. A new one is a module with a class and a line here."""

from collections.abc import Callable, Mapping

from services.search.config import SearchSettings
from services.search.ports import EmbeddingProvider
from services.search.providers.e5 import E5
from services.search.providers.gemini import Gemini
from services.search.providers.minilm import MiniLM
from services.search.providers.use import USE

PROVIDERS: Mapping[str, Callable[[SearchSettings], EmbeddingProvider]] = {
    "e5": E5,
    "gemini": Gemini,
    "minilm": MiniLM,
    "use": USE,
}

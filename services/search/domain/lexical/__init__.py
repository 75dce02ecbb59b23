"""Search by words: what the terms of a text are in its language, and BM25 over them."""

from services.search.domain.lexical.analyzers import Analyzer, analyzer
from services.search.domain.lexical.bm25 import Bm25

__all__ = ["Analyzer", "Bm25", "analyzer"]

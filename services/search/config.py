"""Settings of the search room."""

import os
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr

from mesh.config import MIB, MeshSettings
from mesh.redis_address import RedisUrl


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class SearchSettings(MeshSettings):
    """What search adds to the settings of every process."""

    listen: str = Field("127.0.0.1:50052", description="host:port of the gRPC server; port 0: any free")
    admin_listen: str = Field("127.0.0.1:9102", description="host:port of /metrics and /health; port 0: any free")
    embedder: Literal["minilm", "e5", "gemini"] | None = Field(
        None, description="embedding provider of new novels; unset: minilm for English, e5 for other languages"
    )
    embed_threads: int = Field(default_factory=_cores, ge=1, le=256, description="threads that embed passages")
    chroma_path: Path = Field(Path("data/chroma"), description="folder of the embedded vector store")
    chroma_url: str = Field("", description="a Chroma server, e.g. http://127.0.0.1:8000; empty: the embedded store")
    index_bytes: int = Field(
        256 * 1024 * 1024, ge=1024 * 1024, description="memory for the indexes of the novels that are searched most"
    )
    sentences: Literal["all", "foreign", "none"] = Field(
        "foreign",
        description="queries that look at a second reading of novels, sentence by sentence: all, or those in another"
        " language than the novel's; its model takes 150 MB, once it is used",
    )
    foreign_bytes: int = Field(
        64 * 1024 * 1024, ge=0, description="memory for second readings of novels; 0: there are none"
    )
    foreign_patience: float = Field(
        2.0, ge=0, description="seconds that a query in another language waits for a second reading to be made"
    )
    gemini_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("GAJI_GEMINI_API_KEY", "GEMINI_API_KEY"),
        description="for embedder and search_model gemini",
    )
    gemini_base_url: str = Field("", description="another address of the Gemini API; empty: Google's")
    embed_timeout: float = Field(30.0, gt=0, description="deadline in seconds of one call to an embedding vendor")
    cache_patience: float = Field(
        0.1, gt=0, description="seconds of silence after which the cache counts as down and is done without"
    )
    near_cache_bytes: int = Field(32 * MIB, ge=0, description="bytes of answers that are kept in this process; 0: none")
    embedding: Literal["local", "workers"] = Field(
        "local",
        description="who reads the passages of new novels: this process, or embedding workers elsewhere",
    )
    redis_url: RedisUrl = Field(
        "redis://127.0.0.1:6379/0",
        pattern=r"^(rediss?|redis\+sentinel|rediss?\+cluster)://",
        description="URL (`mesh.redis_address`) of the way to embedding workers; not unix://",
    )
    embedding_batch: int = Field(32, ge=1, le=512, description="passages that a worker gets at a time, more or less")
    embedding_in_flight: int = Field(8, ge=1, le=256, description="batches of a novel that are with workers at once")
    embedding_wait: float = Field(
        5.0, gt=0, description="seconds after which search reads what no worker begins with, unless they are busy"
    )
    embedding_deadline: float = Field(
        30.0, gt=0, description="seconds that a worker may take for a batch; then another one gets it"
    )
    search_model: Literal["gemini", "openai"] | None = Field(
        None,
        description="language model that rewrites what-ifs, puts passages into order and joins characters; unset: none",
    )
    search_model_name: str = Field(
        "", description="the model's name at its vendor; empty: gemini-2.5-flash; openai needs one"
    )
    search_model_seconds: float = Field(
        2.5, gt=0, le=8, description="seconds that a search waits for the model at most, then it does without"
    )
    search_model_calls: int = Field(60, ge=1, description="calls of the model a minute at most, in each process")
    search_model_candidates: int = Field(
        40, ge=10, le=100, description="passages of the plain ranking that the model is shown"
    )
    search_model_context: int = Field(32_768, ge=8_192, description="tokens of the model's context window")
    search_model_rewrites: Literal["never", "what-ifs", "all"] = Field(
        "what-ifs", description="queries of which the model says first what the novel tells there"
    )
    search_character_seconds: float = Field(
        30.0, ge=0, description="seconds that an ingestion waits for the model's view of the characters; 0: not asked"
    )
    openai_base_url: str = Field("http://127.0.0.1:11434/v1", description="for search_model openai, e.g. vLLM's")
    openai_api_key: SecretStr = Field(SecretStr(""), description="for search_model openai")

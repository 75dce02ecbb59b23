"""Settings that every process shares. All come from ``GAJI_*`` variables; a room adds its own in a subclass."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1024 * 1024


class MeshSettings(BaseSettings):
    """Read once at start, from the environment, and never changed.

    Raises:
        pydantic.ValidationError: a variable does not parse; the message names it.
    """

    model_config = SettingsConfigDict(env_prefix="GAJI_", frozen=True, extra="ignore", env_ignore_empty=True)

    listen: str = Field(
        "127.0.0.1:0", description="host:port of the gRPC server (the gateway's: HTTP); port 0: any free"
    )
    admin_listen: str = Field("127.0.0.1:0", description="host:port of /metrics and /health; port 0: any free")
    library_target: str = Field("127.0.0.1:50051", description="gRPC target of library")
    search_target: str = Field("127.0.0.1:50052", description="gRPC target of search")
    generation_target: str = Field("127.0.0.1:50053", description="gRPC target of generation")
    cache_target: str = Field("127.0.0.1:50054", description="gRPC target of cache")
    jobs_target: str = Field("127.0.0.1:50055", description="gRPC target of jobs")
    jwt_public_key_file: Path | None = Field(None, description="PEM of the EdDSA key that signs access tokens")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    drain_seconds: float = Field(5.0, ge=0, description="how long running calls may go on after SIGTERM")
    max_message_bytes: int = Field(16 * MIB, gt=0, description="largest gRPC message, sent or received")
    default_timeout: float = Field(10.0, gt=0, description="deadline in seconds of a call that states none")
    deadline_margin: float = Field(0.02, ge=0, description="seconds kept back at each hop to answer in time")
    retries: bool = Field(True, description="whether channels retry idempotent unary calls")
    limit: bool = Field(True, description="whether calls beyond what the process can answer in time are refused")
    limit_initial: int = Field(256, ge=1, description="calls answered at once, to begin with")
    limit_min: int = Field(32, ge=1, description="the least that the limit falls to")
    limit_max: int = Field(1000, ge=1, description="the most that it rises to")

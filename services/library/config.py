"""Settings of the library, from ``GAJI_*`` variables."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from mesh.config import MIB, MeshSettings
from mesh.redis_address import RedisUrl
from services.library.domain.attempts import Policy
from services.library.domain.library import Terms
from services.library.models import Visibility


class DatabaseSettings(MeshSettings):
    """Where the database is: all that a migration needs."""

    database_url: str = Field(pattern=r"^postgres(ql)?://", description="postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    database_owner_url: str = Field(
        "", pattern=r"^(postgres(ql)?://|$)", description="the same as the schema's owner, to migrate; empty: the same"
    )


class LibrarySettings(DatabaseSettings):
    """What the library needs beside what every process needs."""

    listen: str = Field("127.0.0.1:50051", description="host:port of the gRPC server")
    admin_listen: str = Field("127.0.0.1:9101", description="host:port of /metrics and /health")

    database_replica_url: str = Field(
        "",
        pattern=r"^(postgres(ql)?://|$)",
        description="a streaming replica, for lists of novels and scenarios that may be seconds old; empty: none",
    )
    database_replica_lag: float = Field(
        5.0, gt=0, description="seconds that the replica may be behind; then the database itself is read"
    )
    pool_min: int = Field(10, ge=0, description="connections that are kept open")
    pool_max: int = Field(20, ge=1, description="connections at most")
    pool_acquire_timeout: float = Field(
        5.0, gt=0, description="seconds to wait for a connection; never longer than the caller waits"
    )
    pool_waiting: int = Field(500, ge=1, description="calls that may wait for a connection; more are refused at once")
    pool_held_warning: float = Field(60.0, gt=0, description="seconds after which a held connection is warned of")

    jwt_private_key_file: Path = Field(description="PEM of the Ed25519 key that signs access tokens")
    access_token_seconds: int = Field(15 * 60, gt=0, description="life of an access token")
    refresh_token_seconds: int = Field(30 * 24 * 3600, gt=0, description="life of a refresh token")
    refresh_reuse_seconds: float = Field(
        10.0, ge=0, le=60, description="how long a refresh token that was used is answered again as the first time"
    )
    stream_ticket_seconds: int = Field(60, gt=0, le=300, description="life of a stream ticket")

    novel_visibility: Visibility = Field(
        Visibility.PUBLIC,
        description="who sees a novel whose maker did not say: everybody (a shared shelf) or its owner",
    )
    intake_seconds: float = Field(25.0, gt=0, description="how long reading a file may take, before it is stored")
    ingestion_lease_seconds: float = Field(10.0, gt=0, description="after which a silent driver's novel is taken over")
    ingestion_poll_seconds: float = Field(5.0, gt=0, description="how often to look for novels to remove from search")
    ingestion_timeout: float = Field(3600.0, gt=0, description="seconds that one ingestion may take")
    ingestion_attempts: int = Field(10, ge=1, description="how often an ingestion is tried while search is down")
    ingestion_backoff: float = Field(
        1.0, ge=0, description="seconds until a novel given back is listed; doubled, at most 30"
    )
    character_seconds: float = Field(
        2.0, gt=0, description="how long a new conversation waits for search before it takes the character kept here"
    )

    near_cache_bytes: int = Field(
        16 * MIB, ge=0, description="bytes of novels and scenarios that are kept in this process; 0: none"
    )

    redis_url: RedisUrl = Field("redis://127.0.0.1:6379/0", description="URL (`mesh.redis_address`) of the log")
    log_ttl_seconds: float = Field(3600.0, gt=0, description="how long the log of an ingestion is kept after its end")
    log_lease_seconds: float = Field(3.0, gt=0, description="how long a log's writer may be silent")

    @model_validator(mode="after")
    def _pool_bounds(self) -> Self:
        if self.pool_min > self.pool_max:
            raise ValueError(f"GAJI_POOL_MIN ({self.pool_min}) is above GAJI_POOL_MAX ({self.pool_max})")
        return self

    def terms(self) -> Terms:
        """What the domain goes by."""
        policy = Policy(
            self.ingestion_lease_seconds, self.ingestion_timeout, self.ingestion_attempts, self.ingestion_backoff
        )
        return Terms(
            self.refresh_token_seconds,
            self.refresh_reuse_seconds,
            self.novel_visibility,
            policy,
            self.character_seconds,
        )

"""Settings that every process shares. All come from ``GAJI_*`` variables; a room adds its own in a subclass.

What is secret may also come from a folder of files, each named as its variable (`GAJI_SECRETS_DIR`): so Compose and
Kubernetes hand secrets over without showing them in a process's environment. A variable that is set counts before.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from mesh.targets import checked_target

MIB = 1024 * 1024


class MeshSettings(BaseSettings):
    """Read once at start, from the environment, and never changed.

    Raises:
        pydantic.ValidationError: a variable does not parse; the message names it.
    """

    model_config = SettingsConfigDict(env_prefix="GAJI_", frozen=True, extra="ignore", env_ignore_empty=True)

    secrets_dir: Path | None = Field(
        None, description="folder of files that hold settings, each named as its variable, e.g. GAJI_REDIS_URL"
    )
    listen: str = Field(
        "127.0.0.1:0", description="host:port of the gRPC server (the gateway's: HTTP); port 0: any free"
    )
    admin_listen: str = Field("127.0.0.1:0", description="host:port of /metrics and /health; port 0: any free")
    library_target: str = Field("127.0.0.1:50051", description="gRPC target of library")
    search_target: str = Field("127.0.0.1:50052", description="gRPC target of search")
    generation_target: str = Field("127.0.0.1:50053", description="gRPC target of generation")
    cache_target: str = Field("127.0.0.1:50054", description="gRPC target of cache")
    jobs_target: str = Field("127.0.0.1:50055", description="gRPC target of jobs")
    tls_cert_file: Path | None = Field(
        None, description="PEM of this process's certificate; unset: no TLS between peers"
    )
    tls_key_file: Path | None = Field(None, description="PEM of its private key")
    tls_ca_file: Path | None = Field(
        None, validate_default=True, description="PEM of the authorities that vouch for peers"
    )
    jwt_public_key_file: Path | None = Field(None, description="PEM of the EdDSA key that signs access tokens")
    jwt_keys_file: Path | None = Field(
        None, description="JWK set (RFC 7517) of the Ed25519 keys that sign access tokens, read again when it changes"
    )
    jwt_keys_poll_seconds: float = Field(3.0, gt=0, description="how often key files are looked at")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_texts: bool = Field(False, description="whether logs have messages, replies and queries in them, at DEBUG")
    drain_seconds: float = Field(5.0, ge=0, description="how long running calls may go on after SIGTERM")
    max_message_bytes: int = Field(24 * MIB, gt=0, description="largest gRPC message, sent or received")
    default_timeout: float = Field(10.0, gt=0, description="deadline in seconds of a call that states none")
    deadline_margin: float = Field(0.02, ge=0, description="seconds kept back at each hop to answer in time")
    connection_age_seconds: float = Field(
        0.0,
        ge=0,
        description="after how long a server has its clients connect anew, so that they find replicas that were added "
        "behind a name; running calls stay where they are; 0: never",
    )
    peers_by_proxy: bool = Field(
        False, description="whether calls to peers go by the proxy that grpc_proxy, https_proxy or http_proxy names"
    )
    retries: bool = Field(True, description="whether channels retry calls that the contract calls idempotent")
    still_seconds: float = Field(
        20.0,
        ge=0,
        description="after how long without a message a stream counts as slow to its circuit breaker; 0: never",
    )
    breaker_mode: Literal["closed", "disabled", "metrics_only"] = Field(
        "closed", description="what circuit breakers begin as; metrics_only: they count and tell, and never open"
    )
    breaker_window: int = Field(10, ge=1, le=100_000, description="calls that a breaker's rates are of")
    breaker_window_seconds: int = Field(
        0, ge=0, le=3600, description="above 0: they are of the calls of so many seconds instead"
    )
    breaker_minimum_calls: int = Field(10, ge=1, description="calls in the window below which no breaker opens")
    breaker_failure_rate: float = Field(50.0, gt=0, le=100, description="percent of failed calls that opens it")
    breaker_slow_rate: float = Field(100.0, gt=0, le=100, description="percent of slow calls that opens it")
    breaker_slow_seconds: float = Field(
        9.0, gt=0, description="a call (a stream: until its first message) that takes longer is slow"
    )
    breaker_open_seconds: float = Field(30.0, gt=0, description="how long it refuses calls before it lets some probe")
    breaker_open_multiplier: float = Field(1.0, ge=1, description="how much longer each time that the probes fail")
    breaker_open_max_seconds: float = Field(300.0, gt=0, description="the longest that growth makes of it")
    breaker_half_open_calls: int = Field(5, ge=1, description="how many calls probe")
    breaker_probe_seconds: float = Field(
        30.0, gt=0, description="a probe that has not ended after so long gives its place to another"
    )
    limit: bool = Field(True, description="whether calls beyond what the process can answer in time are refused")
    limit_initial: int = Field(256, ge=1, description="calls answered at once, to begin with")
    limit_min: int = Field(32, ge=1, description="the least that the limit falls to")
    limit_max: int = Field(1000, ge=1, description="the most that it rises to")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Variables, then the files of `secrets_dir`.

        Raises:
            ValueError: there is no such folder.
        """
        folder = os.environ.get("GAJI_SECRETS_DIR")
        if not folder:
            return init_settings, env_settings
        if not Path(folder).is_dir():
            raise ValueError(f"GAJI_SECRETS_DIR: there is no folder {folder}; mount the secrets there, or unset it")
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, folder)

    @field_validator("library_target", "search_target", "generation_target", "cache_target", "jobs_target")
    @classmethod
    def _check_target(cls, value: str) -> str:
        return checked_target(value)

    @field_validator("tls_ca_file")  # the last of the three
    @classmethod
    def _all_or_none(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        given = {"tls_cert_file": info.data.get("tls_cert_file"), "tls_key_file": info.data.get("tls_key_file")}
        given["tls_ca_file"] = value
        missing = [f"GAJI_{name.upper()}" for name, path in given.items() if path is None]
        if missing and len(missing) < len(given):
            raise ValueError(f"{' and '.join(missing)} must be set as well: TLS takes all three files, or none")
        return value

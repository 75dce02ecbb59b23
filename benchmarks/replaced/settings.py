"""Settings of the three services, from ``REPLACED_*`` variables."""

from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """All of them; each service reads what it needs."""

    model_config = SettingsConfigDict(env_prefix="REPLACED_", frozen=True)

    port: int
    generation_url: str = ""
    search_url: str = ""
    model_url: str = ""
    model_name: str = ""
    database_url: str = ""
    redis_url: str = ""
    public_key_file: Path = Path()
    chroma_path: str = ""


def client(base_url: str) -> httpx.AsyncClient:
    """A client for a peer that keeps as many connections as there are conversations; the default is 100, 20 kept."""
    return httpx.AsyncClient(
        base_url=base_url,
        timeout=httpx.Timeout(60.0, connect=5.0),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=60.0),
        trust_env=False,
    )


def serve(app: FastAPI, settings: Settings) -> None:
    """Runs a service until a signal."""
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=settings.port,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=2,
    )

"""Settings of the cache."""

from pydantic import Field

from mesh.config import MeshSettings
from mesh.redis_address import RedisUrl


class CacheSettings(MeshSettings):
    """Read from ``GAJI_*`` variables, on top of those of every process."""

    listen: str = Field("127.0.0.1:50054", description="host:port of the gRPC server; port 0: any free")
    admin_listen: str = Field("127.0.0.1:9104", description="host:port of /metrics and /health; port 0: any free")
    redis_url: RedisUrl = Field("redis://127.0.0.1:6379/0", description="URL (`mesh.redis_address`) of the store")
    redis_timeout: float = Field(0.5, gt=0, description="seconds after which the store counts as down")
    redis_connections: int = Field(
        16, ge=2, description="connections to the store at most, beside one for lookups; one is for pub/sub"
    )
    cache_lease_seconds: float = Field(10.0, gt=0, description="how long a caller may take to compute a value")
    cache_ttl_jitter: float = Field(0.1, ge=0, lt=1, description="a value's time to live varies by this part of it")
    cache_watch_backlog: int = Field(1000, gt=0, description="events that a slow watcher may be behind")

"""Settings of the jobs: of the process that takes them and of the workers that do them."""

from pydantic import Field

from mesh.config import MeshSettings
from mesh.redis_address import RedisUrl


class JobsSettings(MeshSettings):
    """Read from ``GAJI_*`` variables, on top of those of every process."""

    listen: str = Field("127.0.0.1:50055", description="host:port of the gRPC server; port 0: any free")
    admin_listen: str = Field("127.0.0.1:9105", description="host:port of /metrics and /health; port 0: any free")
    redis_url: RedisUrl = Field(
        "redis://127.0.0.1:6379/0",
        pattern=r"^(rediss?|redis\+sentinel|rediss?\+cluster)://",
        description="URL (`mesh.redis_address`) of the queues; not unix://",
    )
    jobs_redis_timeout: float = Field(1.0, gt=0, description="seconds after which the queues count as down")
    jobs_enqueue_timeout: float = Field(3.0, gt=0, description="seconds that putting a job into its queue may take")
    jobs_high_concurrency: int = Field(3, ge=1, le=64, description="jobs at a time of a high_priority worker")
    jobs_low_concurrency: int = Field(1, ge=1, le=64, description="jobs at a time of a low_priority worker")
    jobs_tasks_per_child: int = Field(100, ge=1, description="jobs after which a worker's child is replaced")
    jobs_call_seconds: float = Field(230.0, gt=0, description="how long a job waits for its room")
    jobs_retries: int = Field(3, ge=0, description="how often a job is tried again after a transient error")
    jobs_retry_seconds: float = Field(60.0, gt=0, description="pause before the first retry; doubled each time")
    jobs_sweep_seconds: float = Field(10.0, gt=0, description="how often what the queues have lost is swept up")
    jobs_sweep_limit: int = Field(100, ge=1, le=1000, description="what a sweep takes of each kind at most")
    jobs_swept_seconds: float = Field(30.0, gt=0, description="how long a swept job may wait; then it is swept again")
    jobs_look_seconds: float = Field(2.0, gt=0, description="how often the queues are looked at, for the metrics")

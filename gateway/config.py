"""Settings of the gateway."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from gateway.limit_settings import LimitSettings
from mesh.config import MIB


class GatewaySettings(LimitSettings):
    """The shared settings and the edge's own, from ``GAJI_*`` variables.

    A room's target is ``<room>_target``: services of package ``gaji.search.v1`` are called at ``search_target``.
    """

    listen: str = "127.0.0.1:8080"
    admin_listen: str = "127.0.0.1:9100"
    reuse_port: bool = Field(
        False,
        description="let several gateways of one user listen at one address; the kernel spreads connections over them",
    )
    limit_min: int = Field(8, ge=1, description="the least that the limit falls to")  # it refuses before rooms do

    descriptors_file: Path | None = Field(
        None, description="FileDescriptorSet of the contract to serve (protoc --include_imports); default: Gaji's own"
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="origins that may call from a browser, separated by commas; empty: the gateway's own only"
    )
    web_root: str = Field(
        "", description="folder of the built web app; unset: web/dist, where it was built; none: no app is served"
    )
    cookie_secure: bool = Field(False, description="mark cookies Secure: set it wherever browsers come through TLS")
    revocation_poll_seconds: float = Field(3.0, gt=0, le=10, description="how often to ask which sessions have ended")
    stream_token_grace_seconds: float = Field(
        20.0, ge=0, le=25, description="how long a stream may go on after its token has expired"
    )
    max_body_bytes: int = Field(MIB, gt=0, description="largest request body of an RPC whose policy names none")
    max_connections: int = Field(10_000, gt=0, description="connections of all clients at once")
    max_streams: int = Field(5_000, ge=0, description="open streams of all readers at once; 0: no bound")
    head_seconds: float = Field(30.0, gt=0, description="how long a client may take to send a request's headers")
    body_seconds: float = Field(60.0, gt=0, description="how long a client may take to send its body")
    stream_timeout: float = Field(300.0, gt=0, description="deadline of a stream whose policy names none")
    first_event_seconds: float = Field(
        1.0, ge=0, description="how long a stream's headers wait for a first event or an error"
    )
    heartbeat_seconds: float = Field(15.0, gt=0, description="silence on a stream before a comment is sent")
    sse_retry_ms: int = Field(2000, ge=0, description="how long a browser waits before it reconnects")
    trace_sampled_from: Literal["nobody", "proxies", "anybody"] = Field(
        "nobody",
        description="whose word that a trace is sampled counts: proxies, that of who comes over a trusted proxy, which "
        "must not hand on what its own callers say",
    )
    relay: bool = Field(True, description="run streams over one shared gRPC stream to each replica that offers it")
    resolve_seconds: float = Field(
        5.0, gt=0, description="how often a name (dns:///) is looked up for the replicas that stand behind it"
    )
    sse_window_seconds: float = Field(
        0.01,
        ge=0,
        description="without relay: events of one stream within this time share a write; the first never waits",
    )
    stall_seconds: float = Field(60.0, gt=0, description="how long a reader may take nothing before it is cut off")
    resume_seconds: float = Field(
        # longer than the 30 s for which a circuit stays open, so that a reader who waits hears of its closing
        40.0,
        ge=0,
        description="how long a stream whose service was lost is called again without an event; 0: never",
    )
    return_min_seconds: float = Field(
        0.5, ge=0, description="how soon a reader is asked to come back when the gateway stops, at the soonest"
    )
    return_max_seconds: float = Field(3.0, ge=0, description="the same, at the latest")
    ready_seconds: float = Field(1.0, gt=0, description="how long /ready and /api/status wait for each service")
    status_seconds: float = Field(
        2.0, gt=0, description="how often services are asked while anybody watches the status"
    )
    edge_cache_bytes: int = Field(32 * MIB, ge=0, description="size of the cache of answers; 0: off")
    edge_copies_bytes: int = Field(
        32 * MIB, ge=0, description="size of the copies of answers for when a service does not answer; 0: off"
    )
    off: str = Field("", description="RPCs that are switched off, separated by commas, e.g. CreateGuest,CreateNovel")
    off_file: Path | None = Field(
        None, description="a file of the same, separated by commas or lines, read again while it changes"
    )
    off_poll_seconds: float = Field(3.0, gt=0, description="how often it is looked at")
    copy_after_seconds: float = Field(
        3.0, gt=0, description="how long a read waits for its service where a copy of its answer could be given"
    )

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

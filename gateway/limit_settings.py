"""Settings of what one client may take of the gateway."""

from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from mesh.config import MeshSettings
from mesh.redis_address import RedisUrl


class LimitSettings(MeshSettings):
    """Rates, and bounds on what is open at once; 0 is always: no limit."""

    redis_url: RedisUrl = Field(
        "", description="URL (`mesh.redis_address`) of what gateways share; empty: each counts for itself"
    )
    rate_limit: float = Field(100.0, ge=0, description="requests a second of a user, or else of an address; 0: off")
    rate_burst: int = Field(200, ge=1, description="how many may come at once")
    rate_limit_wait: float = Field(
        0.1, gt=0, description="seconds that a request waits for Redis at most; then the gateway counts for itself"
    )
    login_rate: float = Field(0.2, ge=0, description="attempts a second to log in to one account; 0: off")
    login_burst: int = Field(10, ge=1, description="how many may come at once")
    credentials_rate: float = Field(1.0, ge=0, description="logins and registrations a second of an address; 0: off")
    credentials_burst: int = Field(60, ge=1, description="how many may come at once: a class of a school, say")
    sessions_rate: float = Field(
        2.0, ge=0, description="new guests and refreshed tokens a second of an address; 0: off"
    )
    sessions_burst: int = Field(100, ge=1, description="how many may come at once")
    files_rate: float = Field(
        200.0, ge=0, description="files of the web app a second of an address, counted by each gateway; 0: off"
    )
    files_burst: int = Field(2_000, ge=1, description="how many may come at once: a first visit takes some thirty")
    max_streams_per_user: int = Field(
        20, ge=0, description="streams that a user, or else an address, may have open at one gateway; 0: any number"
    )
    max_connections_per_address: int = Field(
        512, ge=0, description="connections that an address may have open to one gateway; 0: any number"
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="addresses and networks (CIDR) of proxies in front, separated by commas; empty: there are none"
    )
    proxy_header: Literal["x-forwarded-for", "forwarded"] = Field(
        "x-forwarded-for", description="the one header in which they tell the client's address"
    )
    operator_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.0/8", "::1/128"),
        description="addresses and networks (CIDR) that may see /api/status, separated by commas; none: nobody may",
    )

    @field_validator("trusted_proxies", "operator_networks", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        parts = tuple(part.strip() for part in value.split(",") if part.strip())
        return () if parts == ("none",) else parts

    @field_validator("trusted_proxies", "operator_networks")
    @classmethod
    def _parse(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            try:
                ip_network(text)
            except ValueError as error:
                raise ValueError(f"{error}; write networks as 10.0.0.0/8 or fd00::/8") from error
        return value

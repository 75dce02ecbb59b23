"""What an edge must be told of where it stands; all else follows from the contract and the gateway's settings."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.address import parse_address


@dataclass(frozen=True, slots=True)
class Tls:
    """The certificate, by the paths that the edge reads it from.

    Attributes:
        certificate: PEM of the chain, the host's own first.
        key: PEM of its private key.
    """

    certificate: str = "/etc/gaji/tls/tls.crt"
    key: str = "/etc/gaji/tls/tls.key"


@dataclass(frozen=True, slots=True)
class Front:
    """Where an edge listens, whom it stands in front of, and how much it bears.

    Attributes:
        hosts: names that readers call it by; ``*``: any.
        gateways: ``host:port`` of each gateway.
        address: the address that it listens at.
        port: of HTTPS, over TCP and, for HTTP/3, over UDP; without ``tls`` of plain HTTP.
        redirect_port: of plain HTTP, which only leads to HTTPS; 0: there is none.
        tls: None: something in front ends TLS, or it is for one's own machine.
        http3: whether HTTP/3 is offered; needs ``tls``.
        admin: ``host:port`` of Envoy's own pages, which must never be open to readers; empty: there are none.
        source: the address that gateways are called from, for GAJI_TRUSTED_PROXIES; empty: the system chooses.
        front_networks: of a load balancer before the edge that tells the client in X-Forwarded-For (CIDR); of Envoy
            it is only counted how many proxies there are: one, or none where this is empty. Envoy adds its address
            to the header, nginx does not, so gateways have it among GAJI_TRUSTED_PROXIES.
        connections: what the edge bears at once, of readers.
        heap_bytes: what Envoy may take before it sheds load.
        drain_seconds: how long streams go on when nginx is reloaded; Envoy is told by ``--drain-time-s``.
        rate_factor: how many times what the gateways allow an address the edge allows it; 0: it allows anything.
        access_log: the file of one JSON line a request.
        otlp: ``host:port`` of a collector of traces (OTLP over gRPC), for Envoy; empty: none. Spans have the path,
            and not the query.
        trace_percent: how many of the traces that no client has begun are recorded.
        user: whom nginx's workers run as when it is started by root; empty: nginx chooses.

    Raises:
        ValueError: a value does not fit.
    """

    hosts: Sequence[str] = ("gaji.example",)
    gateways: Sequence[str] = ("gateway-1:8080", "gateway-2:8080")
    address: str = "0.0.0.0"  # noqa: S104 - an edge is there for everybody
    port: int = 443
    redirect_port: int = 80
    tls: Tls | None = Tls()
    http3: bool = True
    admin: str = "127.0.0.1:9901"
    source: str = ""
    front_networks: Sequence[str] = ()
    connections: int = 25_000
    heap_bytes: int = 2 * 1024**3
    drain_seconds: float = 30.0
    rate_factor: float = 5.0
    access_log: str = "/dev/stdout"
    otlp: str = ""
    trace_percent: float = 1.0
    user: str = ""

    def __post_init__(self) -> None:
        if not self.hosts or not self.gateways:
            raise ValueError("an edge needs at least one host name and one gateway (--host, --gateway)")
        for text in (*self.gateways, *filter(None, (self.admin, self.otlp))):
            split(text)
        if self.http3 and self.tls is None:
            raise ValueError("HTTP/3 is always encrypted: give a certificate, or leave it out (--no-http3)")

    @property
    def any_host(self) -> bool:
        """Whether it answers by whatever name."""
        return "*" in self.hosts


def split(text: str) -> tuple[str, int]:
    """Host and port.

    Raises:
        ValueError: it is not ``host:port``.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ValueError(f"{text!r} is not host:port")
    return host.strip("[]"), int(port)


def is_address(host: str) -> bool:
    """Whether a host is an address, and no name to be looked up."""
    return parse_address(host) is not None

"""Where peers are: a gRPC target, or a list of addresses."""

import ipaddress
import re

_SCHEMES = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "vsock:", "xds:")
_LISTED = ("ipv4:", "ipv6:")
_NAME = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_REMEDY = "give host:port, a list of IP addresses with ports (127.0.0.1:50052,127.0.0.1:50062), or dns:///NAME:PORT"


def replicas(target: str) -> list[str]:
    """The addresses that a target lists; a name or a single address is one of itself."""
    listed = grpc_target(target)
    if "," not in listed:
        return [target]
    return listed.partition(":")[2].split(",")


def grpc_target(target: str) -> str:
    """A comma-separated list of addresses as a target that gRPC balances over; anything else as it is.

    Raises:
        ValueError: the list mixes address families or holds names (use ``dns:///`` for those).
    """
    if "," not in target or ":///" in target or target.startswith(_LISTED):
        return target
    addresses = [part.strip() for part in target.split(",")]
    try:
        versions = {ipaddress.ip_address(address.rpartition(":")[0].strip("[]")).version for address in addresses}
    except ValueError as error:
        raise ValueError(f"{target!r}: a list may only hold IP addresses with ports; use dns:///NAME:PORT") from error
    if len(versions) != 1:
        raise ValueError(f"{target!r}: a list must be of one address family")
    return f"ipv{versions.pop()}:{','.join(addresses)}"


def canonical_target(target: str) -> str:
    """A target as metrics name it (gRFC A66): with the scheme that gRPC takes where none is said."""
    listed = grpc_target(target)
    return listed if listed.startswith(_SCHEMES) or ":///" in listed else f"dns:///{listed}"


def checked_target(target: str) -> str:
    """The target, when it can be one. gRPC itself would say so only at the first call, and then of its resolver.

    Raises:
        ValueError: it cannot; the message says why and what to write instead.
    """
    target = target.strip()
    listed = grpc_target(target)
    if listed.startswith(_LISTED):
        for address in listed.partition(":")[2].lstrip("/").split(","):
            _check_address(target, address)
    elif listed.startswith(_SCHEMES):
        scheme, _, rest = listed.partition(":")
        name = rest.rpartition("/")[2] if scheme in {"dns", "xds"} else rest.lstrip("/")
        if not name:
            raise ValueError(f"{target!r} names nobody: {_REMEDY}")
    elif ":///" in listed:
        raise ValueError(f"{target!r}: gRPC knows no {listed.partition(':')[0]!r} targets: {_REMEDY}")
    else:
        _check_address(target, listed)
    return target


def _check_address(target: str, address: str) -> None:
    host, colon, port = address.rpartition(":")
    if not colon or not _NAME.fullmatch(host):
        raise ValueError(f"{target!r}: {address!r} is no host:port: {_REMEDY}")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{target!r}: the port {port!r} is not one of 1 to 65535")

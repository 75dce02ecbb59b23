"""Who is an operator: whoever comes from one of the operators' networks, by default from this machine."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from gateway.address import Address, parse_address
from gateway.http import Request
from mesh.errors import PermissionDenied

_FORWARDED = (b"x-forwarded-for", b"forwarded", b"x-real-ip", b"via")
"""What a request bears that somebody hands on."""
_FOREIGN = frozenset({"cross-site", "same-site"})


class Operators:
    """Lets operators in.

    Args:
        networks: theirs, as addresses or in CIDR; empty: there are none.
    """

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ip_network(network) for network in networks]

    def check(self, request: Request) -> None:
        """Refuses whoever is no operator, and what another page makes an operator's browser ask.

        A proxy on this machine comes from this machine, and so would all the world behind it: what is handed on counts
        only where a trusted proxy says for whom (`gateway.address`).

        Raises:
            PermissionDenied: reason NOT_AN_OPERATOR or CROSS_SITE.
        """
        address = parse_address(request.client)
        if any(name in request.headers for name in _FORWARDED) and address == parse_address(request.peer):
            raise _refused(
                "the status is for operators, and this request was handed on by a proxy that is not known here: "
                "name it in GAJI_TRUSTED_PROXIES"
            )
        if address is None or not self._has(address):
            raise _refused(f"the status is for operators: {request.client} is not in GAJI_OPERATOR_NETWORKS")
        if address.is_loopback and not _is_loopback(request.peer):
            # Whoever is in a network of trusted proxies could say so.
            raise _refused(
                "the status is for operators, and nobody is on this machine by hearsay: ask for it from there"
            )
        if request.header(b"sec-fetch-site").lower() in _FOREIGN:
            raise PermissionDenied("the status is not for pages of other origins", reason="CROSS_SITE")
        if address.is_loopback and not _is_local(request.header(b"host")):
            # A page whose name was made to lead to this machine would else be of the same origin as the status.
            raise _refused("the status is not known by this name: ask for it at localhost, or by the address")

    def _has(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self._networks)


def _refused(text: str) -> PermissionDenied:
    return PermissionDenied(text, reason="NOT_AN_OPERATOR")


def _is_loopback(text: str) -> bool:
    address = parse_address(text)
    return address is not None and address.is_loopback


def _is_local(host: str) -> bool:
    """Whether a Host is an address or ``localhost``, which no foreign name can be."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ip_address(name))
    except ValueError:
        return False

"""Whose connection a request comes on, proxies seen through."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import islice

from gateway.http import Scope

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN = "unknown"
"""The address of a peer that has none, e.g. one on a Unix socket."""
_MOST_HOPS = 32
_LONGEST_HEADER = 8 * 1024
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - of RFC 9110, section 5.6.2; it opens nothing
_PAIR = re.compile(rf'(?P<name>{_TOKEN})=(?:(?P<token>{_TOKEN})|"(?P<quoted>(?:[^"\\]|\\.)*)")')


class ClientAddresses:
    """Finds the address of the client of a request.

    A proxy adds the address that it was called from at the end of a header, behind whatever its caller sent. So the
    header is read from the right, and only as long as those who wrote it are trusted: the first address that is no
    trusted proxy's is the client's, and what stands left of it is hearsay. One header is believed and no other,
    since a proxy that writes the one hands on the other as its caller sent it.

    Args:
        trusted: addresses and networks (CIDR) of proxies; empty: the peer is the client.
        header: ``x-forwarded-for``, or ``forwarded`` (RFC 7239).

    Raises:
        ValueError: one of them is neither an address nor a network.
    """

    def __init__(self, trusted: Sequence[str], header: str = "x-forwarded-for") -> None:
        self._trusted = [ip_network(text) for text in trusted]
        self._header = header.encode()
        self._hops = _forwarded if header == "forwarded" else _x_forwarded_for

    def of(self, scope: Scope) -> str:
        """The client's address; the peer's where the header is missing or does not parse."""
        client = scope.get("client")
        peer = _peer(client[0]) if client else None
        if peer is None:
            return UNKNOWN
        if not self._trusted or not self.trusts(peer):
            return str(peer)
        values = [value.decode("latin-1") for name, value in scope["headers"] if name == self._header]
        found = peer
        for hop in islice(self._hops(",".join(values)), _MOST_HOPS):
            if hop is None:
                return str(peer)
            found = hop
            if not self.trusts(hop):
                break
        return str(found)

    def trusts(self, address: Address) -> bool:
        """Whether it is a trusted proxy's."""
        return any(address.version == network.version and address in network for network in self._trusted)


@lru_cache(maxsize=4096)
def owner(address: str) -> str:
    """Who is held to have an address: itself, of IPv6 the /64, since a household has that many (RFC 6177)."""
    if ":" not in address:
        return address
    return str(IPv6Network((address, 64), strict=False))


def parse_address(text: str) -> Address | None:
    """An address with or without a port, brackets around IPv6 then; None: it is none.

    An IPv4 address inside an IPv6 one is the IPv4 address. A zone (``fe80::1%eth0``) is of no use to anybody else.
    """
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or (port and not _is_port(port[1:], port[0])):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(port):
            return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def _is_port(text: str, colon: str = ":") -> bool:
    return colon == ":" and text.isascii() and text.isdigit() and len(text) <= 5


@lru_cache(maxsize=4096)
def _peer(host: str) -> Address | None:
    return parse_address(host.partition("%")[0])


def _x_forwarded_for(header: str) -> Iterable[Address | None]:
    rest = header
    while rest:
        rest, _, last = rest.rpartition(",")
        yield parse_address(last.strip())


def _forwarded(header: str) -> Iterable[Address | None]:
    """The addresses from the right; None, and no more, where the header as a whole is not of RFC 7239's form."""
    if not header:
        return []
    if len(header) > _LONGEST_HEADER:
        return [None]
    elements: list[str | None] = [None]
    place = 0
    while place < len(header):
        mark = header[place]
        if mark in " \t;":
            place += 1
        elif mark == ",":
            elements.append(None)
            place += 1
        else:
            pair = _PAIR.match(header, place)
            if pair is None or header[pair.end() : pair.end() + 1] not in {"", ";", ",", " ", "\t"}:
                return [None]
            if pair["name"].lower() == "for":
                elements[-1] = pair["token"] or pair["quoted"] or ""
            place = pair.end()
    return [parse_address(element) if element else None for element in reversed(elements)]

"""The addresses behind a name, for whoever wants a connection to each of them.

gRPC balances over them by itself (``dns:///NAME:PORT``), but tells nobody which there are.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable

_SCHEME = "dns:///"
Resolve = Callable[[str, int], Awaitable[list[str]]]


def named(target: str) -> tuple[str, int] | None:
    """The name and port of a ``dns:///`` target; None: it is of another kind, or asks a name server of its own."""
    if not target.startswith(_SCHEME):
        return None
    host, _, port = target.removeprefix(_SCHEME).rpartition(":")
    return (host, int(port)) if host else None


async def resolve(host: str, port: int) -> list[str]:
    """The addresses that a name stands for now, ``host:port`` each, sorted.

    Raises:
        OSError: the name is not known, or no name server answers.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = {str(address[0]) for _, _, _, _, address in found}
    return sorted(f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address in addresses)

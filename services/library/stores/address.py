"""How the database is reached."""

import ipaddress
import os
from typing import Literal
from urllib.parse import parse_qs, urlsplit


def tls(database_url: str) -> Literal[False] | None:
    """The ``ssl`` argument of asyncpg: False on the way to this machine itself, unless TLS is asked for.

    Otherwise None: as the URL's ``sslmode`` says, or like libpq, TLS if the server has it. asyncpg then looks for
    certificates in the home directory at each connection, which loopback need not pay for.
    """
    parts = urlsplit(database_url)
    if "sslmode" in parse_qs(parts.query) or os.environ.get("PGSSLMODE"):
        return None
    host = parts.hostname or ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    return False if local else None

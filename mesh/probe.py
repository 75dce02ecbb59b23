"""Asks the process of this container how it is: ``python -m mesh.probe [/ready | /live]``, for HEALTHCHECK.

It asks the admin port, which every process has; where one has no such page (a worker, which opens that port when it
takes jobs) an answer from ``/health`` will do. Imports the standard library alone, so that it costs 30 ms and not the
start of a room.
"""

import http.client
import os
import sys
from collections.abc import Mapping, Sequence

_SECONDS = 4.0


def probe(environment: Mapping[str, str], path: str) -> str:
    """What is amiss; empty: nothing.

    Args:
        environment: GAJI_ADMIN_LISTEN says where the admin port is; a process that listens everywhere is asked here.
        path: the page to ask.
    """
    host, _, port = environment.get("GAJI_ADMIN_LISTEN", "").rpartition(":")
    if not port.isdecimal() or int(port) == 0:
        return "GAJI_ADMIN_LISTEN names no port; set it to e.g. 0.0.0.0:9100"
    address = "127.0.0.1" if host in {"", "0.0.0.0"} else host  # noqa: S104 - compared, not bound
    try:
        status, body = _get(address, int(port), path)
        if status == http.client.NOT_FOUND:
            status, body = _get(address, int(port), "/health")
    except (OSError, http.client.HTTPException) as error:
        return f"{address}:{port} does not answer: {error}"
    return "" if status == http.client.OK else f"{status}: {body}"


def _get(host: str, port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(200).decode(errors="replace").strip()
    finally:
        connection.close()


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code of a health check: 0 well, 1 not."""
    amiss = probe(os.environ, arguments[0] if arguments else "/ready")
    if amiss:
        print(amiss)  # noqa: T201 - `docker inspect` shows it
    return 1 if amiss else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

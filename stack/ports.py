"""Free TCP ports on the loopback interface."""

import random
import socket
from pathlib import Path

from stack.errors import StackError

HOST = "127.0.0.1"
_RANGE = (20_000, 60_000)
_LOCAL_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_EPHEMERAL = (32_768, 60_999)
_TRIES = 500


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


class Ports:
    """Gives each port once.

    Free ports are taken from outside the range that the system uses for outgoing connections: a server that is
    restarted must find its port free again, and no client's connection may have moved in meanwhile.
    """

    def __init__(self) -> None:
        self._given: set[int] = set()
        self._random = random.SystemRandom()

    def free(self) -> int:
        """Any free port.

        Raises:
            StackError: none was found.
        """
        low, high = _ephemeral_range()
        for _ in range(_TRIES):
            port = self._random.randrange(*_RANGE)
            if not low <= port <= high and self.take(port):
                return port
        raise StackError("no free TCP port was found on 127.0.0.1", "stop what listens on so many, or widen the range")

    def take(self, port: int) -> bool:
        """Takes this port; False: somebody has it."""
        if port in self._given or not is_free(port):
            return False
        self._given.add(port)
        return True

    def preferred(self, port: int) -> int:
        """This port when it is free, else any free one."""
        return port if self.take(port) else self.free()


def _ephemeral_range() -> tuple[int, int]:
    try:
        low, high = _LOCAL_RANGE_FILE.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return _EPHEMERAL
    return int(low), int(high)

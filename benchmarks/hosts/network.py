"""Hosts made of Linux network namespaces, on a switch, with cables that can be cut.

This process is in a network namespace of its own (`benchmarks.hosts.__main__`), in which the switch is, a bridge, and
an address of its own on it. A host is a namespace that one idle process holds, which the kernel ends when this process
ends. With the last process in it a namespace goes, and with the namespace its cable. So nothing has a name, a file or
an interface outside, and nothing can be left behind, however this process ends.
"""

import asyncio
import ipaddress
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from stack.processes import wrapped

LAN = ipaddress.ip_network("10.77.0.0/24")
EDGE = str(LAN[1])
"""This process's address."""
TOOLS = ("ip", "bridge", "nsenter", "unshare", "sleep")
_SWITCH = "lan"
_CABLE = "eth0"
_SECONDS = 10.0
_LOOK_SECONDS = 0.01
_DISABLED, _FORWARDING = "0", "3"  # a port's state (bridge(8)); what ip(8) sets, the bridge undoes
_TRY = f"ip link add {_SWITCH} type bridge && ip link add one type veth peer name other"


def missing() -> str:
    """Why hosts can't be made on this machine, in words; empty: they can."""
    if not sys.platform.startswith("linux"):
        return f"network namespaces are Linux's, and this is {sys.platform}"
    if lacking := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"{', '.join(lacking)} (iproute2, util-linux) not installed"
    if os.geteuid() != 0:
        return "only root may make network namespaces in which PostgreSQL runs as another user"
    try:
        tried = subprocess.run(  # noqa: S603 - our own words
            ["unshare", "--net", "--", "sh", "-c", _TRY],  # noqa: S607 - as found on the path
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"the system made no network namespace within {_SECONDS:g} s"
    return "" if tried.returncode == 0 else f"the system refuses network namespaces: {tried.stderr.strip()}"


class Network:
    """The switch and what is plugged in."""

    def __init__(self) -> None:
        self._holders: dict[str, asyncio.subprocess.Process] = {}

    async def join(self, name: str, address: str) -> None:
        """A new host, plugged in; its network card is the same whenever it comes back.

        Raises:
            OSError: the system refuses.
        """
        number = int(ipaddress.ip_address(address)) & 0xFF
        holder = await asyncio.create_subprocess_exec(
            *wrapped(["unshare", "--net", "--", "sleep", "infinity"], None, Path("/"), signal.SIGKILL),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        self._holders[name] = holder
        ours = _namespace("self")
        async with asyncio.timeout(_SECONDS):
            while _namespace(holder.pid) in {ours, None}:  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(_LOOK_SECONDS)
        port = _port(name)
        await _run("ip", "link", "add", port, "type", "veth", "peer", "name", _CABLE, "netns", str(holder.pid))
        await _run("ip", "link", "set", port, "master", _SWITCH, "up")
        for words in (
            f"addr add {address}/{LAN.prefixlen} dev {_CABLE}",
            f"link set {_CABLE} address 02:00:0a:4d:00:{number:02x} up",
            "link set lo up",
        ):
            await _run(*self.inside(name, ["ip", *words.split()]))

    async def leave(self, name: str) -> None:
        """The host is gone, with all connections that its kernel knew of; nobody on the wire is told.

        What still runs in it should have been ended before, after the cable was cut.
        """
        holder = self._holders.pop(name)
        await _run("ip", "link", "del", _port(name))
        holder.kill()
        await holder.wait()

    def inside(self, name: str, argv: Sequence[str]) -> list[str]:
        """A command that runs another one on a host, as the same process."""
        return ["nsenter", f"--net=/proc/{self._holders[name].pid}/ns/net", "--", *argv]

    async def cut(self, name: str, *, back: bool = False) -> None:
        """The cable is pulled: the host's network card has no carrier. Or it is plugged in again."""
        await _run("ip", "link", "set", _port(name), "up" if back else "down")

    async def drop(self, name: str, *, back: bool = False) -> None:
        """The switch throws away whatever comes from the host or goes to it, and all lights stay green."""
        state = _FORWARDING if back else _DISABLED
        await _run("bridge", "link", "set", "dev", _port(name), "state", state)

    async def part(self, one: str, other: str, *, back: bool = False) -> None:
        """Two hosts can't reach each other, and all others can reach both."""
        for name in (one, other):
            await _run("bridge", "link", "set", "dev", _port(name), "isolated", "off" if back else "on")

    async def close(self) -> None:
        """Ends all hosts."""
        for name in list(self._holders):
            await self.leave(name)
        await _run("ip", "link", "del", _SWITCH)


@asynccontextmanager
async def open_network() -> AsyncIterator[Network]:
    """A switch with this process on it, in whose network namespace nobody else is.

    Raises:
        OSError: the system refuses.
    """
    await _run("ip", "link", "set", "lo", "up")
    # Without a tree to span, ports that are plugged in forward at once.
    await _run("ip", "link", "add", _SWITCH, "type", "bridge", "stp_state", "0", "forward_delay", "0")
    await _run("ip", "addr", "add", f"{EDGE}/{LAN.prefixlen}", "dev", _SWITCH)
    await _run("ip", "link", "set", _SWITCH, "up")
    network = Network()
    try:
        yield network
    finally:
        await network.close()


def _port(name: str) -> str:
    """The switch's end of a host's cable."""
    return f"to-{name}"


def _namespace(pid: int | str) -> Path | None:
    """Which network namespace a process is in; None: it is none."""
    try:
        return Path(f"/proc/{pid}/ns/net").readlink()
    except OSError:
        return None


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(_SECONDS):
        _, said = await process.communicate()
    if process.returncode:
        raise OSError(f"{' '.join(command)}: {said.decode(errors='replace').strip()}")

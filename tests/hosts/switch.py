"""Two hosts on a switch, for the test beside this: in a network namespace of its own; prints what it finds.

Usage: unshare --net python -m tests.hosts.switch
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from benchmarks.hosts.network import EDGE, Network, open_network

PORT = 9000
ADDRESSES = {"one": "10.77.0.11", "other": "10.77.0.12"}
_WORD = b"there"
_ASK = (
    "import socket,sys\n"
    "with socket.create_connection((sys.argv[1], int(sys.argv[2])), 0.7) as there:\n"
    "    there.settimeout(0.7)\n"
    f"    sys.exit(there.recv(9) != {_WORD!r})\n"
)
_SERVE = (
    "import socket,sys\n"
    "with socket.create_server((sys.argv[1], int(sys.argv[2]))) as server:\n"
    "    print(flush=True)\n"
    "    while True:\n"
    "        with server.accept()[0] as there:\n"
    f"            there.sendall({_WORD!r})\n"
)


async def _reaches(network: Network, host: str, address: str) -> bool:
    command = network.inside(host, [sys.executable, "-I", "-S", "-c", _ASK, address, str(PORT)])
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    return await process.wait() == 0


async def _answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_WORD)
    writer.close()


async def main() -> None:
    """Prints a line for each finding, ``ready`` last, and waits to be killed."""

    async def say(what: str, *found: Awaitable[bool]) -> None:
        words = [("no", "yes")[await each] for each in found]
        sys.stdout.write(" ".join([what, *words]) + "\n")
        sys.stdout.flush()

    async with open_network() as network, await asyncio.start_server(_answer, EDGE, PORT):
        for name, address in ADDRESSES.items():
            await network.join(name, address)

        def edge(host: str) -> Awaitable[bool]:
            return _reaches(network, host, EDGE)

        serving = network.inside("other", [sys.executable, "-I", "-S", "-c", _SERVE, ADDRESSES["other"], str(PORT)])
        server = await asyncio.create_subprocess_exec(*serving, stdout=asyncio.subprocess.PIPE)
        assert server.stdout is not None
        await server.stdout.readline()
        await say("at first", edge("one"), edge("other"), _reaches(network, "one", ADDRESSES["other"]))
        faults: dict[str, Callable[..., Awaitable[None]]] = {"cut": network.cut, "dropped": network.drop}
        for what, fault in faults.items():
            await fault("one")
            await say(what, edge("one"), edge("other"))
            await fault("one", back=True)
            await say("mended", edge("one"), edge("other"))
        await network.part("one", "other")
        await say("parted", edge("one"), edge("other"), _reaches(network, "one", ADDRESSES["other"]))
        await network.part("one", "other", back=True)
        await say("together", _reaches(network, "one", ADDRESSES["other"]))
        server.kill()
        await server.wait()
        await network.leave("other")
        await network.join("other", ADDRESSES["other"])
        await say("back", edge("other"))
        await say("ready")
        await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main())

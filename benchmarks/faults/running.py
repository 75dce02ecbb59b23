"""A stack of the run's own: ``gaji up`` in a temporary folder, and its processes as ``stack.json`` has them."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stack.probes import grpc_health, http_status
from stack.processes import wrapped
from stack.state import state_file

ROOT = Path(__file__).parents[2]
STORES = ("postgres", "valkey", "chroma")
READY_SECONDS = 120.0
_STOP_SECONDS = 20.0
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Replica:
    """One process of a service.

    Attributes:
        service: of which.
        number: its place among its service's, from 0.
        pid: also its process group's.
        facts: its addresses: ``url`` or ``grpc``, and ``admin``.
    """

    service: str
    number: int
    pid: int
    facts: dict[str, str] = field(compare=False)

    @property
    def name(self) -> str:
        """As the stack's logs have it."""
        return self.service if self.number == 0 else f"{self.service}-{self.number + 1}"

    async def is_ready(self) -> bool:
        """Whether it does its work."""
        if self.service == "gateway":
            return await http_status(self.facts["url"].removeprefix("http://"), "/ready") == 200
        if "grpc" in self.facts:
            return await grpc_health(self.facts["grpc"]) == "SERVING"
        return self.service in STORES or await http_status(self.facts["admin"], "/health") == 200


class Stack:
    """A running stack whose processes may be killed.

    Args:
        data_dir: its data folder.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    def replicas(self, *services: str) -> list[Replica]:
        """The processes of these services, as they are now; of none: of all."""
        state: dict[str, Any] = json.loads(state_file(self.data_dir).read_text())
        found = []
        for service in services or state["services"]:
            for number, facts in enumerate(state["services"].get(service, ())):
                found.append(Replica(service, number, facts["pid"], {k: v for k, v in facts.items() if k != "pid"}))
        return found

    @property
    def gateways(self) -> list[str]:
        """URLs of all gateways; they keep them when they are restarted."""
        return [replica.facts["url"] for replica in self.replicas("gateway")]

    def lives(self, replica: Replica) -> bool:
        """Whether the process is there and still this stack's, its child or one of its nursery's."""
        try:
            state, parent = _status(replica.pid)
            supervisor: int = json.loads(state_file(self.data_dir).read_text())["pid"]
            return state != "Z" and supervisor in (parent, _status(parent)[1])
        except OSError:
            return False

    def kill(self, replica: Replica, signum: signal.Signals = signal.SIGKILL, *, group: bool = False) -> bool:
        """Sends a signal to a process of this stack, or its group; whether it was there."""
        if not self.lives(replica):
            return False
        (os.killpg if group else os.kill)(replica.pid, signum)
        return True

    async def back(self, killed: Replica, seconds: float = READY_SECONDS) -> Replica:
        """Waits until another process has a killed one's place and does its work.

        Raises:
            TimeoutError: it does not come back.
        """
        async with asyncio.timeout(seconds):
            while True:
                now = self.replicas(killed.service)[killed.number]
                if now.pid != killed.pid and self.lives(now) and await now.is_ready():
                    return now
                await asyncio.sleep(_LOOK_SECONDS)

    async def settled(self, seconds: float = READY_SECONDS) -> None:
        """Waits until every process of the stack does its work.

        Raises:
            TimeoutError: one does not.
        """
        name = ""
        try:
            async with asyncio.timeout(seconds):
                for replica in self.replicas():
                    name, place = replica.name, replica
                    while not (self.lives(place) and await place.is_ready()):
                        await asyncio.sleep(_LOOK_SECONDS)
                        place = self.replicas(replica.service)[replica.number]
        except TimeoutError:
            raise TimeoutError(f"{name} does not do its work after {seconds:g} s") from None

    def logged(self, service: str, words: Sequence[str]) -> list[Replica]:
        """The processes of a service whose logs have a line with all these words."""
        found = []
        for replica in self.replicas(service):
            with contextlib.suppress(OSError):
                lines = (self.data_dir / "logs" / f"{replica.name}.log").read_text(errors="replace").splitlines()
                if any(all(word in line for word in words) for line in lines):
                    found.append(replica)
        return found

    def valkey_url(self) -> str:
        """Where the logs and queues are, with the password."""
        password = (self.data_dir / "secrets" / "valkey-password").read_text().strip()
        return self.replicas("valkey")[0].facts["url"].replace("redis://", f"redis://gaji-operator:{password}@")


@asynccontextmanager
async def running_stack(
    replicas: str, *, tokens: int, rate: float = 50.0, variables: Mapping[str, str] | None = None
) -> AsyncIterator[Stack]:
    """A new stack with the scripted model, until the block is left.

    Args:
        replicas: e.g. ``gateway=2,generation=2``.
        tokens: words of a reply.
        rate: words a second.
        variables: more settings.

    Raises:
        RuntimeError: it can't be started; what it said stands in the message.
        TimeoutError: it is not ready in time.
    """
    model = {"GAJI_PROVIDER": "scripted", "GAJI_SCRIPTED_TOKENS": str(tokens), "GAJI_SCRIPTED_RATE": f"{rate:g}"}
    # One user from one address makes all the load.
    edge = ("RATE_LIMIT", "SESSIONS_RATE", "CREDENTIALS_RATE", "MAX_STREAMS_PER_USER", "MAX_CONNECTIONS_PER_ADDRESS")
    model |= {f"GAJI_{name}": "0" for name in edge}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GAJI_") and not k.endswith("_API_KEY")}
    with TemporaryDirectory(prefix="gaji-faults-") as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 - the stores run as a user of their own where this one is root
        data_dir = Path(folder) / "data"
        command = [sys.executable, "-m", "stack.cli", "up", "--port", "0", "--data-dir", str(data_dir), "--no-sample"]
        output = Path(folder) / "up.out"
        with output.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *wrapped([*command, "--replicas", replicas], None, ROOT, signal.SIGTERM),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**kept, **model, **(variables or {}), "NO_COLOR": "1"},
                start_new_session=True,
            )
        try:
            await _ready(process, output)
            stack = Stack(data_dir)
            await stack.settled()
            yield stack
        finally:
            await _stopped(process)


def _status(pid: int) -> tuple[str, int]:
    """The state of a process, and its parent (proc(5)).

    Raises:
        OSError: it is no more.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], int(fields[1])


async def _ready(process: asyncio.subprocess.Process, output: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while not re.search(r"^ready: ", said := await asyncio.to_thread(output.read_text), re.MULTILINE):
        if process.returncode is not None:
            raise RuntimeError(f"gaji up ended with {process.returncode}:\n{said}")
        if time.monotonic() > end:
            raise TimeoutError(f"gaji up is not ready:\n{said}")
        await asyncio.sleep(_LOOK_SECONDS)


async def _stopped(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()

"""A stack whose processes this one keeps, with a proxy before each, so that all of it can be broken and mended."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.faults.proxy import Proxy, open_proxy
from benchmarks.faults.running import READY_SECONDS, STORES, Replica, Stack
from stack.children import GATEWAY, place
from stack.commands import up
from stack.logs import LogFile
from stack.ports import HOST, Ports
from stack.processes import Program
from stack.state import describe, sole_stack, write_state
from stack.supervisor import Child, Supervisor

CHROMA = "chroma"
_HELD = 'while [ -e "$0" ]; do sleep 0.1; done; exec "$@"'
_LOOK_SECONDS = 0.1


class House(Stack):
    """A running stack.

    Args:
        data_dir: its data folder.
        holds: a file there keeps the process of that name from starting again.
        proxies: by service, those that stand before its only process.
    """

    def __init__(self, data_dir: Path, holds: Path, proxies: Mapping[str, Proxy]) -> None:
        super().__init__(data_dir)
        self.proxies = proxies
        self.trouble: list[str] = []
        self._holds = holds

    def take_down(self, replica: Replica) -> bool:
        """Kills a process, its group with it, and keeps it from coming back; whether it was there."""
        (self._holds / replica.name).touch()
        return self.kill(replica, signal.SIGKILL, group=True)

    def let_back(self, replica: Replica) -> None:
        """Lets a process start again that was taken down."""
        (self._holds / replica.name).unlink(missing_ok=True)

    async def again(self, replica: Replica, seconds: float = READY_SECONDS) -> None:
        """Waits until a process that was taken down does its work again.

        Raises:
            TimeoutError: it does not.
        """
        if replica.service not in STORES:
            await self.back(replica, seconds)
            return
        port = int(replica.facts["url"].partition("//")[2].rpartition(":")[2].partition("/")[0])
        async with asyncio.timeout(seconds):
            while not await _listens(port):  # noqa: ASYNC110 - it asks
                await asyncio.sleep(_LOOK_SECONDS)

    def signal_all(self, replica: Replica, signum: signal.Signals) -> int:
        """Signals a process and all that descend from it (PostgreSQL's are no group); how many there were."""
        pids = descendants(replica.pid) if self.lives(replica) else []
        for pid in pids:
            os.kill(pid, signum)
        return len(pids)

    def processes(self) -> int:
        """How many processes the stack has, without the children of workers and of PostgreSQL, which come and go."""
        return sum(self.lives(replica) for replica in self.replicas())


class _Quiet:
    """A reporter that keeps what it is told of deaths."""

    def __init__(self) -> None:
        self.deaths: list[str] = []

    def started(self, child: Child) -> None:
        """Nobody asks."""

    def ready(self, child: Child, seconds: float) -> None:
        """Nobody asks."""

    def died(self, child: Child, why: str, lines: Sequence[str], pause: float) -> None:
        """Keeps it."""
        self.deaths.append(f"{why}: {lines[-1][:300] if lines else ''}")


@asynccontextmanager
async def open_house(
    replicas: Mapping[str, int], variables: Mapping[str, str], *, proxied: bool = True
) -> AsyncIterator[House]:
    """A new stack, ready, until the block is left.

    Args:
        replicas: how many of each service; 1 of those not named.
        variables: settings, ``GAJI_*``; those of this process's environment don't count.
        proxied: whether the only process of a service, and the stores, are reached through proxies.

    Raises:
        StackError: it can't be started.
        TimeoutError: it is not ready in time.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="gaji-faults-")))
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 - the stores run as a user of their own where this one is root
        data_dir, holds = folder / "data", folder / "holds"
        holds.mkdir(mode=0o755)
        stack.enter_context(_environment(variables))
        stack.enter_context(sole_stack(data_dir))
        ports = Ports()
        placed, _ = place(ports, 0, replicas)
        options = up.UpOptions(data_dir, port=0, sample=False)
        # What `gaji up` would run, so that settings it gives its children need not be known here.
        children = await up._children(options, data_dir, placed, ports, certs=None)
        if replicas.get("search", 1) > 1:  # the embedded store is one process's own
            chroma = _chroma(data_dir, ports.free())
            children = [chroma, *(_with(child, {"GAJI_CHROMA_URL": chroma.facts["url"]}) for child in children)]
        proxies: dict[str, Proxy] = {}
        moved: dict[str, str] = {}
        for child in children:
            address = _address(child)
            if proxied and address and replicas.get(child.service, 1) == 1 and child.service != GATEWAY:
                proxy = await stack.enter_async_context(open_proxy(int(address.rpartition(":")[2]), ports))
                proxies[child.service] = proxy
                moved[address] = f"{HOST}:{proxy.port}"
        children = [_held(_moved(child, moved), holds) for child in children]
        gateway = next(child.facts["url"] for child in children if child.service == GATEWAY)
        reporter = _Quiet()
        ready = False

        def changed() -> None:
            if ready:
                write_state(data_dir, describe(gateway, supervisor.running()))

        supervisor = Supervisor(children, reporter, changed)
        stack.push_async_callback(supervisor.stop)
        await supervisor.start()
        ready = True
        changed()
        house = House(data_dir, holds, proxies)
        house.trouble = reporter.deaths
        await house.settled()
        yield house
        ready = False
        for hold in holds.iterdir():
            hold.unlink()


def descendants(pid: int) -> list[int]:
    """A process and all that descend from it (Linux's /proc)."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for each in found:
        found += parents.get(each, ())
    return found


def _address(child: Child) -> str:
    """``host:port`` of what others call; empty: nobody does."""
    if "grpc" in child.facts:
        return child.facts["grpc"]
    return child.facts.get("url", "").partition("//")[2].rpartition("@")[2].partition("/")[0]


def _with(child: Child, variables: Mapping[str, str]) -> Child:
    if child.program.env is None or child.service != "search":
        return child
    return replace(child, program=replace(child.program, env={**child.program.env, **variables}))


def _moved(child: Child, moved: Mapping[str, str]) -> Child:
    """The child, whose targets and URLs lead to proxies."""
    env = dict(child.program.env or {})
    for name, value in env.items():
        if name.startswith("GAJI_") and name.endswith(("_TARGET", "_URL")):
            for address, other in moved.items():
                env[name] = env[name].replace(address, other) if address in value else env[name]
    return replace(child, program=replace(child.program, env=env)) if child.program.env is not None else child


def _held(child: Child, holds: Path) -> Child:
    """The child, which does not start while its file is among the holds."""
    program = child.program
    argv = ["/bin/sh", "-c", _HELD, str(holds / program.name), *program.argv]
    return replace(child, program=replace(program, argv=argv))


def _chroma(data_dir: Path, port: int) -> Child:
    binary = Path(sys.executable).parent / "chroma"
    program = Program(
        name=CHROMA,
        argv=[str(binary), "run", "--path", str(data_dir / "chroma"), "--host", HOST, "--port", str(port)],
        log=LogFile(data_dir / "logs" / "chroma.log"),
        ready=lambda _pid: _listens(port),
        env={"PATH": os.environ.get("PATH", ""), "ANONYMIZED_TELEMETRY": "False", "HOME": str(data_dir)},
        folder=data_dir,
    )
    return Child(CHROMA, program, facts={"url": f"http://{HOST}:{port}"})


async def _listens(port: int) -> bool:
    try:
        async with asyncio.timeout(1.0):
            _, writer = await asyncio.open_connection(HOST, port)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """This process's environment with no settings of Gaji but these, which its children inherit."""
    before = dict(os.environ)
    umask = os.umask(0o077)
    for name in before:
        if name.startswith("GAJI_") or name.endswith("_API_KEY"):
            del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.umask(umask)
        os.environ.clear()
        os.environ.update(before)

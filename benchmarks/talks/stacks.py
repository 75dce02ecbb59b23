"""The two stacks on the same PostgreSQL, the same Valkey and the same model, with as many processes for each role."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import httpx
import jwt

from benchmarks.cpu import cpu_seconds
from benchmarks.faults.running import Stack, running_stack
from benchmarks.faults.world import Client, World
from benchmarks.relay.running import free_port, process
from benchmarks.replaced.conversations import SCHEMA, open_conversations
from benchmarks.talks.model import MODEL
from benchmarks.talks.readers import Conversation
from benchmarks.tokens import key_pair, sign

OURS, REPLACED = "Gaji", "replaced"
STORES = ("postgres", "valkey", "model")
_ROOMS = ("gateway", "generation", "library", "search", "cache", "jobs")
_GUESTS = 32
_AT_ONCE = 16
_START_SECONDS = 90.0
_DATABASE = "replaced"


class Target(Protocol):
    """A stack under load.

    Attributes:
        name: its name.
        port: its gateway's.
        pids: of its processes by role.
    """

    name: str
    port: int
    pids: dict[str, int]

    async def conversations(self, count: int) -> list[Conversation]:
        """New ones, of several readers."""


@dataclass(frozen=True, slots=True)
class Both:
    """Two stacks, and the processes that serve both.

    Attributes:
        targets: ours and the replaced one, by name.
        stores: PostgreSQL, Valkey and the model: the pids by role.
    """

    targets: dict[str, Target]
    stores: dict[str, int]

    def spent(self, target: Target) -> dict[str, float]:
        """Seconds of CPU that each of a target's processes has taken so far, and each of the stores."""
        every = {**target.pids, **self.stores}
        return {role: _seconds(role, pid) for role, pid in every.items()}


def _seconds(role: str, pid: int) -> float:
    if role != "postgres":
        return cpu_seconds(pid)
    # It has a process for each connection; of those that have ended it knows the sum.
    return _fields(pid, 4) + sum(_fields(child, 2) for child in _children(pid))


def _fields(pid: int, count: int) -> float:
    """User and system time of a process; of four fields, also of its children that have ended (proc(5), 14 to 17)."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11 : 11 + count])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in tasks for child in path.read_text().split()]


class Ours:
    """This stack, as `gaji up` starts it."""

    name = OURS

    def __init__(self, stack: Stack, worlds: Sequence[World]) -> None:
        self.port = urlsplit(stack.gateways[0]).port or 80
        self.pids = {room: stack.replicas(room)[0].pid for room in _ROOMS}
        self._worlds = worlds

    async def conversations(self, count: int) -> list[Conversation]:
        """Copies of each guest's first one, with its opening."""
        room = asyncio.Semaphore(_AT_ONCE)

        async def copied(world: World) -> Conversation:
            async with room:
                conversation_id = await world.conversation()
            return Conversation(f"/api/conversations/{conversation_id}/messages-stream", world.client.token)

        guests = len(self._worlds)
        return await asyncio.gather(*(copied(self._worlds[number % guests]) for number in range(count)))


class Replaced:
    """The stack that it replaces."""

    name = REPLACED

    def __init__(
        self, port: int, pids: dict[str, int], database_url: str, novel_id: str, tokens: Sequence[str]
    ) -> None:
        self.port = port
        self.pids = pids
        self._database_url = database_url
        self._novel_id = UUID(novel_id)
        self._tokens = tokens

    async def conversations(self, count: int) -> list[Conversation]:
        """New ones."""
        tokens = [self._tokens[number % len(self._tokens)] for number in range(count)]
        users = [UUID(jwt.decode(token, options={"verify_signature": False})["sub"]) for token in tokens]
        scenario = "No boat: What if Edwin had stayed away?"
        async with open_conversations(self._database_url) as conversations:
            made = await conversations.begin(users, self._novel_id, "Marta Venn", scenario)
        paths = [f"/api/conversations/{conversation_id}/messages-stream" for conversation_id in made]
        return [Conversation(path, token) for path, token in zip(paths, tokens, strict=True)]


@asynccontextmanager
async def running(words: int, rate: float) -> AsyncIterator[Both]:
    """Both stacks until the block is left.

    Args:
        words: of a reply.
        rate: words a second.

    Raises:
        RuntimeError: one cannot be started.
        TimeoutError: one is not ready in time.
    """
    async with contextlib.AsyncExitStack() as exits:
        command = [sys.executable, "-m", "benchmarks.talks.model", str(words), f"{rate:g}"]
        model = await exits.enter_async_context(process(*command))
        assert model.stdout
        model_url = f"http://127.0.0.1:{int(await asyncio.wait_for(model.stdout.readline(), 15))}/v1"
        variables = {
            "GAJI_PROVIDER": "openai",
            "GAJI_OPENAI_BASE_URL": model_url,
            "GAJI_OPENAI_MODEL": MODEL,
            "GAJI_ACCESS_TOKEN_SECONDS": "3600",
        }
        stack = await exits.enter_async_context(
            running_stack("gateway=1", tokens=words, rate=rate, variables=variables)
        )
        first = await exits.enter_async_context(Client(stack.gateways))
        world = await World(first).make()
        ours = Ours(stack, [world, *await _guests(stack, exits, world)])
        replaced = await _replaced(stack, exits, model_url, world)
        stores = {store: stack.replicas(store)[0].pid for store in STORES[:2]}
        yield Both({target.name: target for target in (replaced, ours)}, {**stores, "model": model.pid})


async def _guests(stack: Stack, exits: contextlib.AsyncExitStack, world: World) -> list[World]:
    """More readers of the same novel, each with a scenario and a conversation of their own."""
    clients = [await exits.enter_async_context(Client(stack.gateways)) for _ in range(_GUESTS - 1)]
    return await asyncio.gather(*(_guest(client, world) for client in clients))


async def _guest(client: Client, world: World) -> World:
    guest = World(client)
    guest.novel_id, guest.character_id = world.novel_id, world.character_id
    scenario = {"novel_id": world.novel_id, "title": "No boat", "description": "What if Edwin had stayed away?"}
    guest.scenario_id = (await client.ask("POST", "/api/scenarios", scenario))["scenario_id"]
    headers = {"authorization": f"Bearer {client.token}"}
    opening: dict[str, str] = {}
    async with (
        httpx.AsyncClient(base_url=client.gateways[0], headers=headers, timeout=60.0, trust_env=False) as http,
        http.stream("GET", guest.opening()) as response,
    ):
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                opening = json.loads(line[6:])
    if "message_id" not in opening:
        raise RuntimeError(f"a conversation was not begun: {opening}")
    guest.conversation_id, guest.opening_id = opening["conversation_id"], opening["message_id"]
    return guest


async def _replaced(stack: Stack, exits: contextlib.AsyncExitStack, model_url: str, world: World) -> Replaced:
    work = Path(exits.enter_context(TemporaryDirectory(prefix="gaji-replaced-")))
    private, public = key_pair(work)
    ports = {role: free_port() for role in ("search", "generation", "gateway")}
    database_url = await _database(stack)
    env = {
        "REPLACED_SEARCH_URL": f"http://127.0.0.1:{ports['search']}",
        "REPLACED_GENERATION_URL": f"http://127.0.0.1:{ports['generation']}",
        "REPLACED_MODEL_URL": model_url,
        "REPLACED_MODEL_NAME": MODEL,
        "REPLACED_DATABASE_URL": database_url,
        "REPLACED_REDIS_URL": stack.valkey_url(),
        "REPLACED_PUBLIC_KEY_FILE": str(public),
        "REPLACED_CHROMA_PATH": str(work / "chroma"),
        "OMP_NUM_THREADS": "1",
    }
    pids = {}
    for role, port in ports.items():
        command = [sys.executable, "-m", f"benchmarks.replaced.{role}"]
        child = await exits.enter_async_context(process(*command, env={**env, "REPLACED_PORT": str(port)}))
        await _listening(port)
        pids[role] = child.pid
    await _passages(world, env["REPLACED_SEARCH_URL"])
    tokens = [sign(private) for _ in range(_GUESTS)]
    return Replaced(ports["gateway"], pids, database_url, world.novel_id, tokens)


async def _listening(port: int) -> None:
    """Waits for a server: what it imports takes its time on a busy machine."""
    async with asyncio.timeout(_START_SECONDS):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.1)


async def _database(stack: Stack) -> str:
    """A database of its own on the same server; returns its URL."""
    server = urlsplit(stack.replicas("postgres")[0].facts["url"])
    password = (stack.data_dir / "secrets" / "postgres-admin-password").read_text().strip()
    admin = urlunsplit(server._replace(netloc=f"postgres:{password}@{server.hostname}:{server.port}", path="/postgres"))
    connection = await asyncpg.connect(admin)
    try:
        await connection.execute(f"CREATE DATABASE {_DATABASE}")
    finally:
        await connection.close()
    url = urlunsplit(urlsplit(admin)._replace(path=f"/{_DATABASE}"))
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(SCHEMA)
    finally:
        await connection.close()
    return url


async def _passages(world: World, search_url: str) -> None:
    """Gives the replaced search the novel's passages as ours has them."""
    asked = {"novel_id": world.novel_id, "query": "the light", "top_k": 50}
    found = (await world.client.ask("POST", "/api/search/passages", asked))["passages"]
    async with httpx.AsyncClient(base_url=search_url, timeout=60.0, trust_env=False) as client:
        novel = {"novel_id": world.novel_id, "passages": [passage["content"] for passage in found]}
        (await client.post("/passages", json=novel)).raise_for_status()

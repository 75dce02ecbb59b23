"""The table of rooms, one row a service, and what each process of a stack is started with."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stack.cert_paths import NAMES, paths_of
from stack.errors import StackError
from stack.logs import LogFile
from stack.ports import HOST, Ports
from stack.probes import Probe, http_ok
from stack.processes import Program, Start
from stack.supervisor import Child

GATEWAY = "gateway"
EMBEDDING = "embedding-worker"
GATEWAY_PORT = 8080
MOST_REPLICAS = 16
_READY_SECONDS = 120.0
_REDIS = "GAJI_REDIS_URL"
# Threads of OpenMP that spin while they wait take the cores away from everybody else; several of BLAS for one search of
# a thousand passages cost more than they bring.
_QUIET_THREADS = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
    "OPENBLAS_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
_GEMINI_KEYS = ("GEMINI_API_KEY", "GAJI_GEMINI_API_KEY")
_OPENAI_KEYS = ("GAJI_OPENAI_API_KEY",)
TLS = ("GAJI_TLS_CERT_FILE", "GAJI_TLS_KEY_FILE", "GAJI_TLS_CA_FILE")
_MODEL_KEYS = ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GAJI_GEMINI_API_KEY", "OPENAI_API_KEY", "GAJI_OPENAI_API_KEY")


@dataclass(frozen=True, slots=True)
class Room:
    """A service of the stack.

    Attributes:
        name: of the service.
        module: what ``python -m`` runs.
        port: its gRPC port (the gateway's: HTTP) by default; None: it is a worker, which nobody calls.
        admin_port: its admin port by default.
        arguments: what follows the module.
        needs: what must be ready before it starts. Rooms bear each other's absence, so only stores and, for ``ready``
            to mean ready, the gateway's peers are named; and the gateway by workers, which leave the start to others.
        private: variables that only rooms which name them get.
        env: defaults of variables for it alone.
        folders: variables that name a folder of its own in the data folder, unless they are set already.
        replicas: how many there may be.
        usual: how many there are when nobody says.
        acts_as: the name that the processes of a worker go by.
    """

    name: str
    module: str
    port: int | None
    admin_port: int
    arguments: Sequence[str] = ()
    needs: Sequence[str] = ()
    private: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)
    replicas: int = MOST_REPLICAS
    usual: int = 1
    acts_as: str = "worker"

    @property
    def identity(self) -> str:
        """The name that its processes go by: in certificates, in Valkey."""
        return self.name if self.port else self.acts_as


# In order of need; stopped in reverse.
ROOMS = (
    Room("cache", "services.cache", 50054, 9104, needs=("valkey",), private=(_REDIS,)),
    Room(
        "search",
        "services.search",
        50052,
        9102,
        private=(*_GEMINI_KEYS, *_OPENAI_KEYS, _REDIS),
        env={**_QUIET_THREADS, "ANONYMIZED_TELEMETRY": "False"},
        folders={"GAJI_CHROMA_PATH": "chroma"},
        replicas=1,  # the embedded vector store is one process's own
    ),
    Room(
        "library",
        "services.library",
        50051,
        9101,
        needs=("postgres", "valkey"),
        private=(
            "GAJI_DATABASE_URL",
            "GAJI_DATABASE_OWNER_URL",
            "GAJI_DATABASE_REPLICA_URL",
            _REDIS,
            "GAJI_JWT_PRIVATE_KEY_FILE",
        ),
    ),
    Room(
        "generation",
        "services.generation",
        50053,
        9103,
        needs=("valkey",),
        private=(_REDIS, *_MODEL_KEYS),
        env=_QUIET_THREADS,
    ),
    # It could begin with the others; on two cores search, which takes longest, would be ready so much later.
    Room("jobs", "services.jobs", 50055, 9105, needs=("valkey", "library"), private=(_REDIS,)),
    Room(
        GATEWAY,
        "gateway",
        GATEWAY_PORT,
        9100,
        needs=("cache", "search", "library", "generation", "jobs"),
        private=(_REDIS,),
    ),
    Room(
        "worker-high",
        "services.jobs.worker",
        None,
        9106,
        arguments=("high_priority",),
        needs=(GATEWAY,),
        private=(_REDIS,),
    ),
    Room(
        "worker-low",
        "services.jobs.worker",
        None,
        9107,
        arguments=("low_priority",),
        needs=(GATEWAY,),
        private=(_REDIS,),
    ),
    Room(
        EMBEDDING,
        "services.search.embedding_worker",
        None,
        9108,
        needs=(GATEWAY,),
        private=(_REDIS,),
        env=_QUIET_THREADS,
        usual=0,
        acts_as="embedding",
    ),
)


@dataclass(frozen=True, slots=True)
class Replica:
    """One process of a room and where it listens.

    Attributes:
        room: the room.
        name: ``generation``, ``generation-2``, ...
        listen: ``host:port`` of gRPC (the gateway's: HTTP); empty: a worker's.
        admin: ``host:port`` of /metrics and /health.
    """

    room: Room
    name: str
    listen: str
    admin: str


def parse_replicas(text: str) -> dict[str, int]:
    """Reads ``generation=2,gateway=2``.

    Raises:
        StackError: it does not parse, or names an unknown service or an impossible number.
    """
    rooms = {room.name: room for room in ROOMS}
    replicas: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, count = part.partition("=")
        room = rooms.get(name.strip())
        if room is None or not count.strip().isdecimal():
            raise StackError(
                f"--replicas {part}: not SERVICE=NUMBER", f"write e.g. generation=2; services are {', '.join(rooms)}"
            )
        if not 1 <= int(count) <= room.replicas:
            times = "once" if room.replicas == 1 else f"1 to {room.replicas} times"
            raise StackError(f"--replicas {part}: impossible number", f"{room.name} runs {times} on one machine")
        replicas[room.name] = int(count)
    return replicas


def place(ports: Ports, port: int, replicas: Mapping[str, int]) -> tuple[list[Replica], list[int]]:
    """Decides where everything listens.

    Args:
        ports: gives them.
        port: the first gateway's; 0: any free one for everything.
        replicas: how many of each service; the usual number when not named.

    Returns:
        The replicas in order of need, and the usual ports that were taken, whose place others have.

    Raises:
        StackError: a gateway's port is taken.
    """
    placed: list[Replica] = []
    taken: list[int] = []

    def pick(wanted: int, *, first: bool) -> str:
        if port == 0 or not first:
            return f"{HOST}:{ports.free()}"
        given = ports.preferred(wanted)
        if given != wanted:
            taken.append(wanted)
        return f"{HOST}:{given}"

    for room in ROOMS:
        for index in range(replicas.get(room.name, room.usual)):
            name = room.name if index == 0 else f"{room.name}-{index + 1}"
            if room.name == GATEWAY and port:
                if not ports.take(port + index):
                    raise StackError(
                        f"port {port + index} of 127.0.0.1 is taken",
                        "stop what listens there, or choose another: gaji up --port PORT (0: any free one)",
                    )
                listen = f"{HOST}:{port + index}"
            else:
                listen = pick(room.port, first=index == 0) if room.port else ""
            placed.append(Replica(room, name, listen, pick(room.admin_port, first=index == 0)))
    return placed, taken


def children_of(
    placed: Sequence[Replica],
    variables: Mapping[str, str],
    data_dir: Path,
    *,
    own: Mapping[str, Mapping[str, str]] | None = None,
    certs: Path | None = None,
    start: Start | None = None,
) -> list[Child]:
    """The processes of the rooms.

    Args:
        placed: where they listen.
        variables: what all of them get beside this process's environment.
        data_dir: where they keep data and logs.
        own: what each gets beside that, by identity: its secrets.
        certs: the folder of their certificates; None: they talk in the open.
        start: makes their processes; None: they are executed.
    """
    private = {*TLS, *(name for room in ROOMS for name in room.private)}
    targets = {
        f"GAJI_{room.name.upper()}_TARGET": ",".join(r.listen for r in placed if r.room is room)
        for room in ROOMS
        if room.port and room.name != GATEWAY
    }
    children = []
    for replica in placed:
        room = replica.room
        env = {
            **room.env,
            **{name: str(data_dir / folder) for name, folder in room.folders.items()},
            "GAJI_DRAIN_SECONDS": "2",
            **os.environ,
            **variables,
            **(own or {}).get(room.identity, {}),
            **targets,
            **({"GAJI_LISTEN": replica.listen} if replica.listen else {}),
            "GAJI_ADMIN_LISTEN": replica.admin,
            "PYTHONUNBUFFERED": "1",
        }
        program = Program(
            name=replica.name,
            # -P: what lies in the folder that people happen to stand in, e.g. a clone named gaji, is no package.
            argv=[sys.executable, "-P", "-m", room.module, *room.arguments],
            log=LogFile(data_dir / "logs" / f"{replica.name}.log"),
            ready=_ready(replica),
            env={
                **{name: value for name, value in env.items() if name not in private or name in _private(room, env)},
                **(paths_of(certs, room.identity).variables() if certs and room.identity in NAMES else {}),
            },
            folder=Path.cwd(),
            ready_seconds=_READY_SECONDS,
            start=start,
        )
        where = {"url": f"http://{replica.listen}"} if room.name == GATEWAY else {"grpc": replica.listen}
        secured = {"certs": str(certs)} if certs and "grpc" in where else {}
        facts = {**({**where, **secured} if replica.listen else {}), "admin": replica.admin}
        children.append(Child(room.name, program, room.needs, facts, awaited=room.port is not None))
    return children


def _private(room: Room, env: Mapping[str, str]) -> Sequence[str]:
    """The private variables that a room gets.

    Only a search that asks a vendor has the key for it, and only one with workers the way to them.
    """
    spared: list[str] = []
    if room.name == "search":
        asked = {env.get("GAJI_EMBEDDER"), env.get("GAJI_SEARCH_MODEL")}
        vendors = {"gemini": _GEMINI_KEYS, "openai": _OPENAI_KEYS}
        spared += [name for vendor, names in vendors.items() if vendor not in asked for name in names]
        if env.get("GAJI_EMBEDDING") != "workers":
            spared.append(_REDIS)
    return [name for name in room.private if name not in spared]


def _ready(replica: Replica) -> Probe:
    if replica.room.name == GATEWAY:
        return http_ok(replica.listen, "/ready")
    if not replica.listen:  # a worker answers when it takes jobs
        return http_ok(replica.admin, "/health")
    return http_ok(replica.admin, "/ready")

"""What runs on which host, and how."""

import os
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.hosts.network import LAN
from stack.children import ROOMS, Replica, children_of
from stack.embedded.account import give, server_user, write_private
from stack.embedded.postgres import ADMIN, prepare_postgres
from stack.embedded.rights import OWNER, READER_WRITER
from stack.embedded.valkey import prepare_valkey
from stack.keys import key_files
from stack.logs import LogFile
from stack.ports import HOST
from stack.probes import http_ok, redis_answers
from stack.processes import Program
from stack.supervisor import Child

FRONTS = ("front-1", "front-2")
ROOMS_HOST, STORES_HOST = "rooms", "stores"
PLACES: Mapping[str, Sequence[str]] = {
    STORES_HOST: ("postgres", "valkey", "chroma"),
    ROOMS_HOST: ("cache", "library", "jobs", "worker-high", "worker-low"),
    **dict.fromkeys(FRONTS, ("search", "generation", "gateway")),
}
"""The hosts beside the edge, in the order in which they start, and the services on each."""
ADDRESSES = {name: str(LAN[11 + number]) for number, name in enumerate((*FRONTS, ROOMS_HOST, STORES_HOST))}
WORDS, WORDS_A_SECOND = 60, 20.0
HEARTBEAT_SECONDS = 4.0
OPEN_SECONDS = 5.0
"""How long circuits stay open: six times less than by default, as outages here are shorter too."""
_POSTGRES, _VALKEY, _CHROMA = 5432, 6379, 8000
SETTINGS = {
    "GAJI_PROVIDER": "scripted",
    "GAJI_SCRIPTED_TOKENS": str(WORDS),
    "GAJI_SCRIPTED_RATE": f"{WORDS_A_SECOND:g}",
    "GAJI_HEARTBEAT_SECONDS": f"{HEARTBEAT_SECONDS:g}",
    "GAJI_BREAKER_OPEN_SECONDS": f"{OPEN_SECONDS:g}",
    "GAJI_ACCESS_TOKEN_SECONDS": "14400",  # readers outlive all faults
    # One host plays all readers: what one of them may ask for is not what is measured here.
    **dict.fromkeys(
        (
            "GAJI_RATE_LIMIT",
            "GAJI_LOGIN_RATE",
            "GAJI_CREDENTIALS_RATE",
            "GAJI_SESSIONS_RATE",
            "GAJI_MAX_STREAMS_PER_USER",
            "GAJI_MAX_CONNECTIONS_PER_ADDRESS",
        ),
        "0",
    ),
}


def forget_settings() -> None:
    """Takes from this process's environment what would reach its children: settings of Gaji, keys, proxies."""
    for name in list(os.environ):
        if name.startswith("GAJI_") or name.endswith("_API_KEY") or name.lower().endswith("_proxy"):
            del os.environ[name]


async def programs(data_dir: Path) -> dict[str, list[Child]]:
    """What runs on each host; the stores' data folders are made.

    Args:
        data_dir: all hosts share it, as if each had a disk of its own: nobody reads what another one wrote, but keys.

    Raises:
        StackError: a store can't be made.
    """
    secrets_dir = data_dir / "secrets"
    keys = key_files(secrets_dir)
    variables = {
        **SETTINGS,
        "GAJI_JWT_KEYS_FILE": str(keys.keys),
        "GAJI_JWT_PUBLIC_KEY_FILE": "",
        "GAJI_JWT_PRIVATE_KEY_FILE": str(keys.private),
    }
    own: dict[str, dict[str, str]] = defaultdict(dict)
    stores = [await _postgres(data_dir, own), _valkey(data_dir, own), _chroma(data_dir, own)]
    placed = [(host, _replica(host, room, number)) for room, hosts in _hosts() for number, host in enumerate(hosts)]
    rooms = children_of([replica for _, replica in placed], variables, data_dir, own=own)
    found: dict[str, list[Child]] = {name: [] for name in PLACES}
    found[STORES_HOST] = stores
    for (host, _), child in zip(placed, rooms, strict=True):
        found[host].append(child)
    return found


def with_build(program: Program, build: Path | None) -> Program:
    """The program as another build has it, which lies in a folder; None: as this checkout has it."""
    if build is None or program.env is None or "-m" not in program.argv:
        return program
    return replace(program, env={**program.env, "PYTHONPATH": str(build)})


def _hosts() -> Sequence[tuple[int, Sequence[str]]]:
    """Rooms by their place in the table, with the hosts of each."""
    return [
        (number, [host for host, services in PLACES.items() if room.name in services])
        for number, room in enumerate(ROOMS)
    ]


def _replica(host: str, room: int, number: int) -> Replica:
    of, address = ROOMS[room], ADDRESSES[host]
    name = of.name if number == 0 else f"{of.name}-{number + 1}"
    return Replica(of, name, f"{address}:{of.port}" if of.port else "", f"{address}:{of.admin_port}")


async def _postgres(data_dir: Path, own: Mapping[str, dict[str, str]]) -> Child:
    address, home = ADDRESSES[STORES_HOST], data_dir / "postgres"
    rules = home / "lan_hba.conf"
    server = await prepare_postgres(
        home,
        port=_POSTGRES,
        secrets_dir=data_dir / "secrets",
        log=LogFile(data_dir / "logs" / "postgres.log"),
        options={"listen_addresses": address, "hba_file": str(rules)},
    )
    write_private(rules, f"host all {OWNER},{READER_WRITER},{ADMIN} {LAN} scram-sha-256\n")
    give(rules, server_user())
    here, there = f"{HOST}:{_POSTGRES}", f"{address}:{_POSTGRES}"
    own["library"] |= {
        "GAJI_DATABASE_URL": server.library_url.replace(here, there),
        "GAJI_DATABASE_OWNER_URL": server.url.replace(here, there),
    }
    return Child("postgres", server.program, facts={"url": server.public_url.replace(here, there)})


def _valkey(data_dir: Path, own: Mapping[str, dict[str, str]]) -> Child:
    address = ADDRESSES[STORES_HOST]
    server = prepare_valkey(
        data_dir / "valkey",
        port=_VALKEY,
        secrets_dir=data_dir / "secrets",
        log=LogFile(data_dir / "logs" / "valkey.log"),
    )
    for name, url in server.urls.items():
        own[name]["GAJI_REDIS_URL"] = url.replace(HOST, address)
    operator = urlsplit(server.url)
    program = replace(
        server.program,
        argv=[*server.program.argv, "--bind", address],
        ready=lambda _pid: redis_answers(address, _VALKEY, operator.username or "", operator.password or ""),
    )
    return Child("valkey", program, facts={"url": server.public_url.replace(HOST, address)})


def _chroma(data_dir: Path, own: Mapping[str, dict[str, str]]) -> Child:
    address = ADDRESSES[STORES_HOST]
    url = f"http://{address}:{_CHROMA}"
    own["search"]["GAJI_CHROMA_URL"] = url
    binary = Path(sys.executable).parent / "chroma"
    program = Program(
        name="chroma",
        argv=[str(binary), "run", "--path", str(data_dir / "chroma"), "--host", address, "--port", str(_CHROMA)],
        log=LogFile(data_dir / "logs" / "chroma.log"),
        ready=http_ok(f"{address}:{_CHROMA}", "/api/v2/heartbeat"),
        env={"PATH": os.environ.get("PATH", ""), "ANONYMIZED_TELEMETRY": "False", "HOME": str(data_dir)},
        folder=data_dir,
    )
    return Child("chroma", program, facts={"url": url})

"""A whole system of processes on this machine, each with the environment that the manifests give it."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stack.cert_paths import paths_of
from stack.certs import renew
from stack.embedded.postgres import open_postgres
from stack.embedded.valkey import open_valkey
from stack.logs import LogFile
from stack.ports import HOST, Ports
from stack.probes import http_ok
from stack.processes import Process, Program
from stack.secret_files import write_secrets
from tests.deploy.images import absent
from tests.deploy.manifests import Pod, image_settings, pods

READY_SECONDS = 60.0
CONFINED = Path(__file__).with_name("confined.py")
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "32MB"}


@dataclass(slots=True)
class System:
    """What runs.

    Attributes:
        folder: where all of it is.
        certs: the folder of the certificates, the operator's among them.
        processes: by the name of the workload.
        environments: likewise.
        ports: by ``host:port`` of the manifests, where it is here.
    """

    folder: Path
    certs: Path
    processes: dict[str, Process] = field(default_factory=dict)
    environments: dict[str, Mapping[str, str]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def gateway(self) -> str:
        """The gateway's URL."""
        return f"http://{HOST}:{self.ports['gateway:8080']}"

    def at(self, workload: str, page: str = "") -> str:
        """The admin address of a process."""
        return self.environments[workload]["GAJI_ADMIN_LISTEN"] + page

    def log(self, workload: str) -> str:
        """What a process has said."""
        return LogFile(self.folder / "logs" / f"{workload}.log").path.read_text(errors="replace")


@asynccontextmanager
async def open_system(folder: Path, overlay: str, changed: Mapping[str, str]) -> AsyncIterator[System]:
    """Starts one process of each workload of an overlay beside real stores.

    What differs from the manifests: hosts and ports are of this machine, and so are the folders that are mounted; and
    what is changed on purpose.

    Args:
        folder: where all of it is kept.
        overlay: the manifests.
        changed: variables with another value than theirs.
    """
    ports = Ports()
    system = System(folder, folder / "certs")
    found = {pod.name: pod for pod in pods(overlay) if pod.ours}
    stores = {name: ports.free() for name in ("postgres", "valkey", "chroma")}
    files = folder / "secrets"
    await asyncio.to_thread(
        write_secrets, files, postgres=f"{HOST}:{stores['postgres']}", valkey=f"{HOST}:{stores['valkey']}"
    )
    await asyncio.to_thread(renew, system.certs)
    for pod in found.values():
        if listen := pod.settings.get("GAJI_LISTEN"):
            system.ports[f"{pod.identity}:{listen.rpartition(':')[2]}"] = ports.free()
    for name, pod in found.items():
        settings = {**image_settings(), **pod.settings, **changed}
        mounts = await asyncio.to_thread(_mounts, pod, folder, system.certs)
        system.environments[name] = {
            key: _here(value, pod, system.ports, stores["chroma"], mounts) for key, value in settings.items()
        } | {"GAJI_ADMIN_LISTEN": f"{HOST}:{ports.free()}", "PATH": "/usr/bin:/bin"}
    async with AsyncExitStack() as stack:
        passwords = files / "passwords"
        chroma = await _start(stack, _chroma(folder, stores["chroma"]))
        await stack.enter_async_context(
            open_postgres(folder / "postgres", port=stores["postgres"], secrets_dir=passwords, options=_FAST)
        )
        await stack.enter_async_context(open_valkey(folder / "valkey", port=stores["valkey"], secrets_dir=passwords))
        await chroma.wait_ready()
        migrations = await _start(stack, _program(system, found["migrations"]))
        assert await migrations.wait() == 0, system.log("migrations")
        # As when a release is rolled out: a gateway that finds nobody there opens its circuits for half a minute.
        for names in (found.keys() - {"gateway", "migrations"}, {"gateway"}):
            for name in sorted(names):
                system.processes[name] = await _start(stack, _program(system, found[name]))
            await asyncio.gather(*(system.processes[name].wait_ready() for name in names))
        yield system


async def _start(stack: AsyncExitStack, program: Program) -> Process:
    process = await Process.start(program)
    stack.push_async_callback(process.stop)
    return process


def _program(system: System, pod: Pod) -> Program:
    file = system.folder / f"{pod.room}.absent"
    file.write_text("\n".join(sorted(absent(pod.room))))
    probe = pod.container.get("startupProbe", {}).get("httpGet", {"path": "/health", "port": "admin"})
    environment = system.environments[pod.name]
    address = environment["GAJI_ADMIN_LISTEN" if probe["port"] == "admin" else "GAJI_LISTEN"]
    return Program(
        name=pod.name,
        argv=[sys.executable, "-P", str(CONFINED), str(file), *pod.container["args"]],
        log=LogFile(system.folder / "logs" / f"{pod.name}.log"),
        ready=http_ok(address, probe["path"]),
        env=environment,
        ready_seconds=READY_SECONDS,
    )


def _chroma(folder: Path, port: int) -> Program:
    (folder / "chroma").mkdir()
    return Program(
        name="chroma",
        argv=[str(Path(sys.executable).with_name("chroma")), *_chroma_arguments(folder / "chroma", port)],
        log=LogFile(folder / "logs" / "chroma.log"),
        ready=http_ok(f"{HOST}:{port}", "/api/v2/heartbeat"),
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        ready_seconds=READY_SECONDS,
    )


def _chroma_arguments(folder: Path, port: int) -> Sequence[str]:
    """The arguments of the manifests, with the folder and the address of this machine."""
    (pod,) = [pod for pod in pods("small") if pod.name == "chroma"]
    here = {"0.0.0.0": HOST, "8000": str(port), "/data": str(folder)}  # noqa: S104 - to be replaced
    return [here.get(word, word) for word in pod.container["command"][1:]]


def _mounts(pod: Pod, folder: Path, certs: Path) -> dict[str, str]:
    """Where each mounted folder is here, by where it is in the pod; filled with what the volume says."""
    volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
    places = {}
    for mount in pod.container["volumeMounts"]:
        here = folder / "pods" / pod.name / mount["name"]
        here.mkdir(parents=True)
        places[mount["mountPath"]] = str(here)
        volume = volumes[mount["name"]]
        for source in volume.get("projected", {}).get("sources", []):
            for file in (folder / "secrets" / source["secret"]["name"].removeprefix("gaji-")).iterdir():
                shutil.copy(file, here)
        if "secret" in volume:
            name = volume["secret"]["secretName"].removeprefix("gaji-tls-")
            for file, into in zip(paths_of(certs, name), ("tls.crt", "tls.key", "ca.crt"), strict=True):
                shutil.copy(file, here / into)
    return places


def _here(value: str, pod: Pod, ports: Mapping[str, int], chroma: int, mounts: Mapping[str, str]) -> str:
    if value.startswith("dns:///"):
        return f"dns:///localhost:{ports[value.removeprefix('dns:///')]}"
    if value.startswith("0.0.0.0:"):
        port = value.rpartition(":")[2]
        return f"{HOST}:{ports.get(f'{pod.identity}:{port}', 0)}"
    if value.startswith("http://chroma"):
        return f"http://{HOST}:{chroma}"
    for inside, here in mounts.items():
        if value == inside or value.startswith(f"{inside}/"):
            return here + value.removeprefix(inside)
    return value

"""Another build of the same sources: a wheel with a version of its own, unpacked into a folder."""

import asyncio
import re
import shutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import grpc
import httpx
from gaji.mesh.v1 import status_service_pb2 as pb
from gaji.mesh.v1 import status_service_pb2_grpc as rpc

from benchmarks.faults.running import ROOT, Replica

_SOURCES = ("mesh", "services", "gateway", "stack", "generated", "README.md")
_VERSION = re.compile(r'^version = "([^"]+)"$', re.MULTILINE)
_SECONDS = 60.0
_ANSWER_SECONDS = 3.0


async def next_build(folder: Path) -> tuple[str, Path]:
    """Builds it; returns its version and the folder to put on the path of modules.

    Raises:
        RuntimeError: the build fails; what it said stands in the message.
    """
    source, wheels, unpacked = folder / "source", folder / "wheels", folder / "unpacked"
    version = await asyncio.to_thread(_copy, source)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=source,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(_SECONDS):
        said, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the build ended with {process.returncode}: {said.decode(errors='replace')}")
    await asyncio.to_thread(_unpack, wheels, unpacked)
    return version, unpacked


async def versions(replicas: Sequence[Replica]) -> dict[str, str]:
    """What release processes say that they are of, by name; of those that can be asked.

    Raises:
        grpc.aio.AioRpcError: one does not answer.
        httpx.HTTPError: one does not answer.
    """
    found: dict[str, str] = {}
    async with httpx.AsyncClient(timeout=_ANSWER_SECONDS, trust_env=False) as http:
        for replica in replicas:
            if "grpc" in replica.facts:
                async with grpc.aio.insecure_channel(replica.facts["grpc"]) as channel:
                    stub: rpc.StatusServiceAsyncStub = rpc.StatusServiceStub(channel)
                    answer = await stub.GetStatus(pb.GetStatusRequest(), timeout=_ANSWER_SECONDS, wait_for_ready=True)
                    found[replica.name] = answer.status.version
            elif replica.service == "gateway":
                document = (await http.get(f"{replica.facts['url']}/openapi.json")).json()
                found[replica.name] = document["info"]["version"]
    return found


def _copy(source: Path) -> str:
    source.mkdir(parents=True)
    for name in _SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = _VERSION.search(project)
    if found is None:
        raise RuntimeError("pyproject.toml says no version")
    version = f"{found[1]}.post1"
    (source / "pyproject.toml").write_text(_VERSION.sub(f'version = "{version}"', project, count=1), encoding="utf-8")
    return version


def _unpack(wheels: Path, unpacked: Path) -> None:
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)

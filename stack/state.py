"""What a running stack tells of itself: ``DIR/run/stack.json``, and the lock that makes it one stack a folder."""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stack.errors import StackError
from stack.supervisor import Child


def state_file(data_dir: Path) -> Path:
    """Where a stack tells of itself."""
    return data_dir / "run" / "stack.json"


def describe(gateway: str, running: Iterable[tuple[Child, int]]) -> dict[str, Any]:
    """The stack's state: its own pid, the gateway's URL and each service's replicas with pid and addresses."""
    services: dict[str, list[dict[str, Any]]] = {}
    for child, pid in running:
        services.setdefault(child.service, []).append({"pid": pid, **child.facts})
    return {"gateway": gateway, "pid": os.getpid(), "services": services}


def write_state(data_dir: Path, state: dict[str, Any]) -> None:
    """Writes the state, whole or not at all."""
    path = state_file(data_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def read_state(data_dir: Path) -> dict[str, Any] | None:
    """The state of the stack that runs on a folder; None: none runs."""
    try:
        state = json.loads(state_file(data_dir).read_text(encoding="utf-8"))
        os.kill(int(state["pid"]), 0)
    except PermissionError:
        return dict(state)  # it runs, as somebody else
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(state)


@contextmanager
def sole_stack(data_dir: Path) -> Iterator[None]:
    """Holds a folder's lock; the system gives it back however this process ends.

    Raises:
        StackError: another stack holds it, or the folder can't be written.
    """
    path = data_dir / "run" / "lock"
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.parent.mkdir(exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StackError(
            f"{data_dir} can't be used as data folder ({error.strerror})", "choose another one with --data-dir"
        ) from None
    with os.fdopen(descriptor, "r+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = file.read().strip() or "unknown"
            raise StackError(
                f"another stack runs on {data_dir} (pid {owner})", "stop it, or choose another folder with --data-dir"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            state_file(data_dir).unlink(missing_ok=True)
            file.truncate(0)

"""The process that the rooms of a stack are forked from: ``python -P -m stack.nursery DESCRIPTOR PADDING``.

It imports once what every room imports, so that a room starts without that work and shares the memory of it with the
others, copied on write; and what those import that come last, when it has been left alone for a moment. It does nothing
else: it has one thread, no event loop, and gRPC is imported but not begun, all of which a fork would leave broken.
`stack.births` is its other side, over a socket of sequenced packets:

    asked     JSON, with the descriptor of the output: argv, env, folder, orphan_signal
    answered  ``born PID`` by the child itself, ``ended PID CODE``, ``failed WHY``

A request is read by the child alone: nothing of a room's secrets is ever in the memory that its siblings come from.
"""

import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mesh.memory import give_back
from stack.child import tie

MOST_BYTES = 128 * 1024
"""Of a request; well below what a socket holds at once."""
PADDING = 512
"""Bytes of arguments that children may write theirs over; of environment eight times as many."""
# What at least most of the rooms import. Nothing here may start a thread when it is imported; a test looks.
SHARED = (
    "mesh.breaker",
    "mesh.client",
    "mesh.process",
    "mesh.server",
    "mesh.streamlog",
    "mesh.read_through",
    "mesh.redis_client",
)
# What the gateway imports beside that, which is born when the other rooms serve. Nor may this start a thread, nor add
# to the metrics: workers and whatever is born anew have it as well, and would tell of readers that they have not.
LATER = (
    "starlette.middleware.cors",
    "throttled.asyncio",
    "uvicorn",
    "uvicorn.protocols.http.httptools_impl",
)
_QUIET_SECONDS = 0.3
_PLACES = slice(45, 49)  # of /proc/PID/stat behind the name: arg_start, arg_end, env_start, env_end; proc(5)


def main() -> None:
    """Imports, forks until the other side has gone, and is, in a child, the room."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    gc.disable()  # what it would free leaves holes in pages that are to be shared
    _read(SHARED)
    argv = _forking(channel)
    if argv:
        gc.enable()
        sys.argv = argv[argv.index("-m") + 1 :]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _read(modules: Sequence[str]) -> None:
    for module in modules:
        importlib.import_module(module)
    give_back()
    gc.freeze()


def _forking(channel: socket.socket) -> list[str]:
    """Forks on request; returns a room's command in the child, and nothing here, at the end."""
    me = os.getpid()
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler there must be, for the descriptor to be written to
    signal.set_wakeup_fd(waker)
    later: Sequence[str] = LATER
    forked = False
    while True:
        ready, _, _ = select.select([channel.fileno(), woken], [], [], _QUIET_SECONDS if later and forked else None)
        if not ready:
            with suppress(Exception):  # the gateway says what is wrong, and the others need none of it
                _read(later)
            later = ()
        if woken in ready:
            os.read(woken, 4096)
            _tell_ended(channel)
        if channel.fileno() not in ready:
            continue
        if not channel.recv(1, socket.MSG_PEEK):
            return []
        taken, taking = os.pipe()
        try:
            child = os.fork()
        except OSError as error:
            channel.recv(1)  # the rest of the packet goes with it
            channel.send(f"failed {error.strerror}".encode())
            child = -1
        if child == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (woken, waker, taken):
                os.close(descriptor)
            return _born(channel, taking, me)
        forked = True
        os.close(taking)
        os.read(taken, 1)  # its end, when the child has taken the request
        os.close(taken)


def _tell_ended(channel: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        channel.send(f"ended {pid} {os.waitstatus_to_exitcode(status)}".encode())


def _born(channel: socket.socket, taking: int, parent: int) -> list[str]:
    """Makes this process what the request asks for, as `stack.child` does; returns its command."""
    packet, [output], _, _ = socket.recv_fds(channel, MOST_BYTES, 1)
    os.close(taking)
    for descriptor in (sys.stdout.fileno(), sys.stderr.fileno()):
        os.dup2(output, descriptor)
    os.close(output)
    asked = json.loads(packet)
    os.setsid()
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["env"])
    show(asked["argv"], asked["env"])
    if not tie(parent, asked["orphan_signal"]):
        sys.exit(1)
    channel.send(f"born {os.getpid()}".encode())
    channel.close()
    return list(asked["argv"])


def show(argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Has ``ps`` and /proc tell of this command and environment instead of those that the process was executed with.

    They stand where the kernel has put them, at the top of the stack (proc(5)); `os.environ` has copies by now, made
    by setenv(3), so nobody else reads there any more. What does not fit is left out.
    """
    fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    arguments, until, variables, end = map(int, fields[_PLACES])
    _write(arguments, until, argv)
    _write(variables, end, [f"{name}={value}" for name, value in env.items()])


def _write(start: int, end: int, entries: Iterable[str]) -> None:
    text = b"".join(os.fsencode(entry) + b"\0" for entry in entries)[: end - start - 1]
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, text, len(text))


if __name__ == "__main__":
    main()

"""Runs the stack on five hosts made of network namespaces, and breaks the hosts and what is between them.

The edge (the readers, and a balancer that asks gateways whether they are ready), two fronts (gateway, generation and
search each), a host of rooms (library, cache, jobs, workers) and one of stores (PostgreSQL, Valkey, a Chroma server).

Usage: python -m benchmarks.hosts [--only NAME ...] [--quick] [--list] [--json FILE] ...
Linux, as root; ends by itself, in about eight minutes, or one and a half with --quick: with code 1 when anything is
not as it should be (with --quick: anything that does not depend on the machine's speed), with 77 when this machine has
no network namespaces for us. Everything is in namespaces of its own; no address, interface, file or process is left.
"""

import argparse
import json
import os
import signal
import sys
from dataclasses import asdict, replace
from pathlib import Path

import uvloop
from rich.console import Console

from benchmarks.hosts import tables
from benchmarks.hosts.breaking import FAULTS
from benchmarks.hosts.network import missing
from benchmarks.hosts.running import Options, Run
from benchmarks.hosts.town import forget_settings

SKIPPED = 77
"""The exit code that test harnesses know for this."""
_INSIDE = "--inside"
_NO_FORKS = "GRPC_ENABLE_FORK_SUPPORT"
_QUICK_SECONDS, _QUICK_RATE, _QUICK_EVERY = 8.0, 3.0, 1.0
_WIDTH = 170  # where there is no terminal to fit the tables into


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some faults instead of all")
    parser.add_argument("--quick", action="store_true", help="a few faults, short ones")
    parser.add_argument("--list", action="store_true", help="only name the faults")
    parser.add_argument("--rate", type=float, help="requests a second")
    parser.add_argument("--seconds", type=float, help="how long each fault lasts")
    parser.add_argument("--seed", type=int, default=1, help="of what is left to chance")
    parser.add_argument("--json", type=Path, help="keep the figures in this file")
    parser.add_argument(_INSIDE, action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(f"{fault.name:20} {fault.title}" for fault in FAULTS))
        return
    if unknown := set(arguments.only or ()) - {fault.name for fault in FAULTS}:
        parser.error(f"--only: {', '.join(sorted(unknown))}: not known; --list names them")
    if not arguments.inside:
        if why := missing():
            print(f"skipped: {why}")
            sys.exit(SKIPPED)
        # In a namespace of its own from its first thread on. It starts processes while it probes others, which gRPC
        # would remark on each time.
        os.environ[_NO_FORKS] = "0"
        command = ["unshare", "--net", "--", sys.executable, "-m", "benchmarks.hosts", _INSIDE, *sys.argv[1:]]
        os.execvp(command[0], command)  # noqa: S606 - to become the program is the purpose
    sys.exit(_run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    forget_settings()
    os.environ.pop(_NO_FORKS, None)  # it has been read; workers need it as it is by default
    os.umask(0o077)
    chosen = [fault for fault in FAULTS if not arguments.quick or fault.quick]
    chosen = [fault for fault in FAULTS if fault.name in arguments.only] if arguments.only else chosen
    if seconds := arguments.seconds or (_QUICK_SECONDS if arguments.quick else 0.0):
        chosen = [replace(fault, seconds=seconds) for fault in chosen]
    options = Options(seed=arguments.seed)
    if arguments.quick:
        options = replace(options, rate=_QUICK_RATE, every=_QUICK_EVERY, steady=1.0)
    if arguments.rate:
        options = replace(options, rate=arguments.rate)
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    run = Run(chosen, options, console)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the hosts as Ctrl-C does
    try:
        uvloop.run(run())
    finally:
        if run.rows:
            tables.show(console, run.rows)
        if arguments.json:
            arguments.json.write_text(
                json.dumps([asdict(row) | {"sound": row.sound, "ok": row.ok} for row in run.rows], indent=2)
            )
    good = [row.sound if arguments.quick else row.ok for row in run.rows]
    return 0 if len(good) == len(chosen) and all(good) else 1


if __name__ == "__main__":
    main()

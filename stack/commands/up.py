"""``gaji up``: everything on this machine, until a signal."""

import asyncio
import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console

from stack import sample
from stack.backup.unfinished import finish
from stack.births import open_nursery
from stack.children import EMBEDDING, GATEWAY, TLS, Replica, children_of, parse_replicas, place
from stack.commands.teller import Teller
from stack.commands.text import command
from stack.embedded.postgres import prepare_postgres
from stack.embedded.valkey import prepare_valkey
from stack.errors import StackError
from stack.keys import key_files
from stack.logs import LogFile
from stack.ports import Ports
from stack.probes import http_status
from stack.processes import Start
from stack.providers import chosen_model
from stack.state import describe, sole_stack, write_state
from stack.supervisor import Child, Supervisor
from stack.targets import forget_targets, write_targets

POSTGRES_PORT = 50432
VALKEY_PORT = 50379


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What is asked for.

    Attributes:
        data_dir: where all data is kept.
        port: the gateway's; 0: free ports for everything.
        replicas: e.g. ``generation=2,gateway=2``.
        sample: whether the sample story is put on the shelf.
        where: the options that lead other commands to this stack.
        tls: whether its processes know each other by certificate.
        embedding_workers: how many processes read the passages of new novels; 0: search does.
    """

    data_dir: Path
    port: int = 8080
    replicas: str = ""
    sample: bool = True
    where: Sequence[str] = ()
    tls: bool = False
    embedding_workers: int = 0


@dataclass(slots=True)
class Signals:
    """Stops on the first signal, hurries on the second.

    Attributes:
        stopping: set by the first.
        supervisor: to be hurried.
    """

    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    supervisor: Supervisor | None = None

    def install(self) -> None:
        """Takes SIGTERM, SIGINT and SIGHUP for the rest of the process."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:  # nohup(1) has its way
                loop.add_signal_handler(signum, self._received)

    def _received(self) -> None:
        if self.stopping.is_set() and self.supervisor is not None:
            self.supervisor.hurry()
        self.stopping.set()


async def up(options: UpOptions, console: Console) -> None:
    """Runs a stack until SIGTERM, SIGINT or SIGHUP.

    Raises:
        StackError: it can't be started; nothing is left running.
    """
    teller = Teller(console)
    signals = Signals()
    signals.install()
    os.umask(0o077)  # readers' novels and talks are nobody else's business
    replicas = parse_replicas(options.replicas)
    if options.embedding_workers:
        replicas[EMBEDDING] = options.embedding_workers
    data_dir = options.data_dir.resolve()
    with sole_stack(data_dir):
        if finish(data_dir):
            teller.say("a restore that was broken off is done to its end", "yellow")
        began = time.monotonic()
        placed, taken = place(ports := Ports(), options.port, replicas)
        async with open_nursery(LogFile(data_dir / "logs" / "nursery.log")) as nursery:
            _greet(teller, data_dir, taken)
            certs = data_dir / "certs" if options.tls else None
            if certs is not None:
                await asyncio.to_thread(_renew, certs)
            children = await _children(options, data_dir, placed, ports, certs=certs, start=nursery.start)
            await _supervised(options, children, teller, signals, certs=certs, began=began)


async def _supervised(
    options: UpOptions,
    children: Sequence[Child],
    teller: Teller,
    signals: Signals,
    *,
    certs: Path | None,
    began: float,
) -> None:
    """Runs the children until a signal."""
    data_dir = options.data_dir.resolve()
    gateway = next(child.facts["url"] for child in children if child.service == GATEWAY)
    write_targets(data_dir, children)
    ready = False

    def changed() -> None:
        if ready:
            write_state(data_dir, describe(gateway, supervisor.running()))

    supervisor = signals.supervisor = Supervisor(children, teller, changed)
    renewing = asyncio.create_task(_keep_young(certs, teller)) if certs is not None else None
    try:
        if await _until(supervisor.start(), signals.stopping):
            ready = True
            changed()
            await _welcome(teller, gateway, time.monotonic() - began, options)
            if options.sample:
                _shelve_meanwhile(gateway, data_dir, teller, signals.stopping)
            await signals.stopping.wait()
    finally:
        ready = False
        if renewing is not None:
            renewing.cancel()
        forget_targets(data_dir)
        teller.rest()
        began = time.monotonic()
        teller.say("stopping ...")
        await supervisor.stop()
        teller.say(f"stopped in {time.monotonic() - began:.1f} s")


def _greet(teller: Teller, data_dir: Path, taken: Collection[int]) -> None:
    """Says what is begun, and what is other than somebody may think."""
    provider, model, others = chosen_model(os.environ)
    models = ", then ".join([provider, *others])
    teller.say(f"Gaji {_version()}  data: {data_dir}  model: {model} ({models})", "bold")
    if taken:
        teller.say(f"others listen on {', '.join(map(str, sorted(taken)))}: free ports are used instead", "yellow")
    if any(name in os.environ for name in TLS):
        teller.say("GAJI_TLS_* do not count here: with --tls a stack makes its own certificates", "yellow")


async def _welcome(teller: Teller, gateway: str, seconds: float, options: UpOptions) -> None:
    """Says that all is ready, and where to go on."""
    teller.say(f"ready: {gateway}", "bold green")
    teller.say(f"  in {seconds:.1f} s; Ctrl-C stops it; logs: {options.data_dir.resolve() / 'logs'}", "dim")
    if await http_status(gateway.removeprefix("http://"), "/") == 200:
        teller.say(f"  read: {gateway}", "bold green")
    teller.say(f"  talk: {command('chat', *options.where)}; the API: {gateway}/docs", "dim")


async def _children(
    options: UpOptions,
    data_dir: Path,
    placed: Sequence[Replica],
    ports: Ports,
    *,
    certs: Path | None,
    start: Start | None = None,
) -> list[Child]:
    secrets_dir, logs = data_dir / "secrets", data_dir / "logs"
    keys = await asyncio.to_thread(key_files, secrets_dir)
    variables = {
        "GAJI_JWT_KEYS_FILE": str(keys.keys),
        "GAJI_JWT_PUBLIC_KEY_FILE": "",  # a key of its own, which no rotation would take away
        "GAJI_JWT_PRIVATE_KEY_FILE": str(keys.private),
    }
    stores: list[Child] = []
    own: dict[str, dict[str, str]] = defaultdict(dict)
    if not os.environ.get("GAJI_DATABASE_URL"):
        postgres = await prepare_postgres(
            data_dir / "postgres",
            port=ports.preferred(POSTGRES_PORT) if options.port else ports.free(),
            secrets_dir=secrets_dir,
            log=LogFile(logs / "postgres.log"),
        )
        own["library"] |= {"GAJI_DATABASE_URL": postgres.library_url, "GAJI_DATABASE_OWNER_URL": postgres.url}
        stores.append(Child("postgres", postgres.program, facts={"url": postgres.public_url}))
    if not os.environ.get("GAJI_REDIS_URL"):
        valkey = prepare_valkey(
            data_dir / "valkey",
            port=ports.preferred(VALKEY_PORT) if options.port else ports.free(),
            secrets_dir=secrets_dir,
            log=LogFile(logs / "valkey.log"),
        )
        for name, url in valkey.urls.items():
            own[name]["GAJI_REDIS_URL"] = url
        stores.append(Child("valkey", valkey.program, facts={"url": valkey.public_url}))
    if any(replica.room.name == EMBEDDING for replica in placed):
        own["search"]["GAJI_EMBEDDING"] = "workers"
    return [*stores, *children_of(placed, variables, data_dir, own=own, certs=certs, start=start)]


def _renew(certs: Path) -> None:
    from stack.certs import renew  # noqa: PLC0415 - loads cryptography, which most stacks do without

    renew(certs, force=False)


async def _keep_young(certs: Path, teller: Teller) -> None:
    from stack.certs import keep_young  # noqa: PLC0415 - likewise

    await keep_young(certs, teller)


async def _until(starting: Coroutine[Any, Any, None], stopping: asyncio.Event) -> bool:
    """Awaits a start; False: it was called off."""
    start = asyncio.create_task(starting)
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([start, stop], return_when=asyncio.FIRST_COMPLETED)
        if start.done():
            start.result()
        return start.done()
    finally:
        for task in (start, stop):
            task.cancel()
        await asyncio.gather(start, stop, return_exceptions=True)


def _shelve_meanwhile(gateway: str, data_dir: Path, teller: Teller, stopping: asyncio.Event) -> None:
    """In a thread that ends with the process: nobody waits for the sample."""

    def shelve() -> None:
        try:
            if sample.is_shelved(data_dir):
                return
            # An HTTP client is much to keep in memory for what most starts find done.
            from stack.shelf import shelve_sample  # noqa: PLC0415 - see above

            title = shelve_sample(gateway, data_dir)
        except (StackError, OSError, ValueError, KeyError) as error:
            if not stopping.is_set():
                teller.say(f"  the sample story could not be put on the shelf: {error}", "yellow")
        else:
            if title:
                teller.say(f"  on the shelf: “{title}”", "dim")

    threading.Thread(target=shelve, name="sample", daemon=True).start()


def _version() -> str:
    try:
        return version("gaji")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "(not installed)"

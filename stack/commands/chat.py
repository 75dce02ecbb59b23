"""``gaji chat``: a talk with a character."""

import shutil
import sys
import uuid
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from stack.answers import ApiError, Json
from stack.api import Event, Gateway
from stack.commands.choice import ask, choose
from stack.commands.cited import told
from stack.commands.shown import Shown
from stack.commands.text import command, one_line, printable
from stack.errors import StackError
from stack.sessions import GuestSession

_SHOWN_MESSAGES = 6
_TITLE_CHARACTERS = 80
_DEGRADED = {
    "SEARCH_UNAVAILABLE": "the search did not answer: written from passages that were kept",
    "PROVIDER_FALLBACK": "the first model did not answer: another one wrote this",
}
_out = Console(highlight=False)
_err = Console(stderr=True, highlight=False)


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """What is chosen beforehand.

    Attributes:
        novel: id or a part of its title.
        scenario: id or a part of its title.
        what_if: a new scenario's description instead.
        character: id or a part of the name.
        conversation: the id of a conversation to go on with.
        messages: what to say; empty: it is asked for.
        where: the options that lead another command to the same gateway.
    """

    novel: str | None = None
    scenario: str | None = None
    what_if: str | None = None
    character: str | None = None
    conversation: str | None = None
    messages: Sequence[str] = ()
    where: Sequence[str] = ()


def chat(url: str, options: ChatOptions) -> None:
    """Talks until there is nothing more to say.

    Raises:
        StackError: the gateway refuses, or nothing fits what was chosen.
        click.UsageError: something must be chosen and nobody can be asked.
    """
    if not all(message.strip() for message in options.messages):
        raise click.BadParameter("is empty; say something, or leave it away to be asked", param_hint="--message")
    with Gateway(url, GuestSession(url)) as gateway:
        if options.conversation:
            conversation = gateway.get(f"/api/conversations/{options.conversation}")
            name = one_line(str(conversation.get("character_name", "")))
            _show_last(gateway, options.conversation, name)
            conversation_id = options.conversation
        else:
            novel = _choose_novel(gateway, options)
            scenario = _choose_scenario(gateway, novel, options)
            character = _choose_character(gateway, novel, options)
            if "scenario_id" not in scenario:  # written only now: a name that fits nobody leaves nothing behind
                scenario = gateway.post("/api/scenarios", scenario)
            name = one_line(str(character["name"]))
            conversation_id = _open(gateway, scenario, character, name)
        for message in options.messages or _asked(name):
            _say(gateway, conversation_id, name, message)
        if not options.messages:
            again = command("chat", *options.where, "--conversation", conversation_id)
            _err.print(Text(f"go on later: {again}", "dim"), soft_wrap=True)


def _choose_novel(gateway: Gateway, options: ChatOptions) -> Json:
    # One that is ingested anew is searched meanwhile.
    all_novels = gateway.all("/api/novels", "novels")
    novels = [n for n in all_novels if n.get("status") == "INGESTION_STATUS_COMPLETE" or n.get("passages")]
    if not novels:
        raise StackError("there is no novel on the shelf yet", "put one there: gaji ingest FILE")
    return choose(
        "novel",
        novels,
        options.novel,
        key="novel_id",
        label="title",
        line=lambda n: f"{n['title']}  {n.get('author', '')}",
    )


def _choose_scenario(gateway: Gateway, novel: Json, options: ChatOptions) -> Json:
    novel_id = str(novel["novel_id"])
    if options.what_if:
        return _what_if(novel_id, options.what_if)
    scenarios = list(gateway.all(f"/api/novels/{novel_id}/scenarios", "scenarios"))
    own = {"scenario_id": "", "title": "write your own what-if"}
    if options.scenario or (not sys.stdin.isatty() and scenarios):
        return choose("scenario", scenarios, options.scenario, key="scenario_id", label="title")
    if not sys.stdin.isatty():
        raise click.UsageError("the novel has no scenario yet: write one with --what-if TEXT")
    chosen = choose("scenario", [*scenarios, own], None, key="scenario_id", label="title")
    return chosen if chosen["scenario_id"] else _what_if(novel_id, ask("What if ... "))


def _what_if(novel_id: str, text: str) -> Json:
    """A scenario that is yet to be stored."""
    title = text if len(text) <= _TITLE_CHARACTERS else text[: _TITLE_CHARACTERS - 1] + "…"
    return {"novel_id": novel_id, "title": title, "description": text}


def _choose_character(gateway: Gateway, novel: Json, options: ChatOptions) -> Json:
    characters = list(gateway.all(f"/api/novels/{novel['novel_id']}/characters", "characters"))
    return choose("character", characters, options.character, key="character_id", label="name")


def _open(gateway: Gateway, scenario: Json, character: Json, name: str) -> str:
    params = {
        "scenario_id": str(scenario["scenario_id"]),
        "character_id": str(character["character_id"]),
        "request_id": uuid.uuid4().hex,
    }
    last = _show_reply(gateway, name, gateway.stream("GET", "/api/conversations/create-stream", params=params), None)
    if last is None:
        raise StackError("the opening was left before it had begun", "begin again with gaji chat")
    return str(last["conversation_id"])


def _say(gateway: Gateway, conversation_id: str, name: str, message: str) -> None:
    body = {"content": message, "request_id": uuid.uuid4().hex}
    path = f"/api/conversations/{conversation_id}/messages-stream"
    try:
        _show_reply(gateway, name, gateway.stream("POST", path, json=body), conversation_id)
    except ApiError as error:
        if not sys.stdin.isatty():
            raise
        _err.print(Text(f"\n{error}", "red"), soft_wrap=True)


def _show_reply(
    gateway: Gateway, name: str, events: Generator[Event, None, None], conversation_id: str | None
) -> Json | None:
    """Shows a reply as it comes; Ctrl-C stops it.

    Args:
        gateway: where it is stopped.
        name: who speaks.
        events: of the reply.
        conversation_id: whose reply it is; None: the opening of a conversation that is yet to be known.

    Returns:
        What it ended with, which names its conversation; None: it was left before it could be stopped.
    """
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        console=_err,
        transient=True,
        disable=not _err.is_terminal,
    )
    task = bar.add_task("...", total=100)
    shown = Shown(name, _write, shutil.get_terminal_size().columns if sys.stdout.isatty() else None)
    cursor = ""
    with closing(events) as reply, bar:
        try:
            for event in reply:
                cursor = event.cursor
                match event.name:
                    case "progress" if not shown.begun:
                        description = one_line(str(event.data.get("message") or event.data.get("stage", "")))
                        bar.update(task, completed=event.data.get("progress", 0), description=description)
                    case "token":
                        bar.stop()
                        shown.add(str(event.data.get("content", "")))
                    case "seam":
                        shown.keep(int(event.data.get("keep", 0)))
                    case "complete" | "stopped":
                        bar.stop()
                        shown.end(str(event.data.get("content", "")), "[stopped]" if event.name == "stopped" else "")
                        _tell_degraded(event.data)
                        _tell_sources(event.data)
                        return event.data
        except KeyboardInterrupt:
            bar.stop()
            kept = _stop(gateway, conversation_id, cursor)
            mark = (
                {"complete": "", "failed": "[failed]"}.get(str(kept.get("outcome")), "[stopped]") if kept else "[left]"
            )
            shown.end(str(kept.get("content", "")) if kept else "", mark)
            if not sys.stdin.isatty():
                raise
            return kept
    raise StackError("the reply broke off", "look at `gaji status` and try again")


def _tell_degraded(summary: Json) -> None:
    """A small note under a reply that is less than it could be."""
    ways = [_DEGRADED.get(str(way), one_line(str(way))) for way in summary.get("degraded", [])]
    if ways:
        _err.print(Text(f"({'; '.join(ways)})", "dim"), soft_wrap=True)


def _tell_sources(summary: Json) -> None:
    """On a terminal, which chapters a reply is based on."""
    sources = told(summary.get("citations", []))
    if sources and _err.is_terminal:
        _err.print(Text(f"(from {sources})", "dim"), soft_wrap=True)


def _stop(gateway: Gateway, conversation_id: str | None, cursor: str) -> Json | None:
    """Stops a reply.

    Args:
        gateway: where.
        conversation_id: whose reply it is; None: the opening of a new one.
        cursor: of the reply; empty: it has none yet.

    Returns:
        How it ended and what is kept, with its conversation; None: there is none yet that could be stopped.
    """
    message_id = str(uuid.UUID(cursor.partition(".")[0])) if cursor else ""
    if conversation_id and not message_id:  # if it was begun, it is the conversation's last message
        message_id = str(gateway.get(f"/api/conversations/{conversation_id}").get("head_message_id", ""))
    if message_id and not conversation_id:
        newest = gateway.get("/api/conversations").get("conversations", [])
        conversation_id = next((c["conversation_id"] for c in newest if c.get("head_message_id") == message_id), None)
    if not message_id or not conversation_id:
        return None
    stopped = gateway.post(f"/api/conversations/{conversation_id}/messages/{message_id}:stop", {})
    if not cursor and stopped.get("outcome") != "stopped":  # it was the one before
        return None
    return {**stopped, "conversation_id": conversation_id}


def _show_last(gateway: Gateway, conversation_id: str, name: str) -> None:
    messages = list(gateway.all(f"/api/conversations/{conversation_id}/messages", "messages"))
    for message in messages[-_SHOWN_MESSAGES:]:
        who = "you" if message.get("role") == "MESSAGE_ROLE_READER" else name
        _out.print(Text(f"{who}: {printable(str(message.get('content', '')))}", "dim"), soft_wrap=True)


def _asked(name: str) -> Iterator[str]:
    if sys.stdin.isatty():
        _err.print(Text(f"\nSay something to {name}. Ctrl-C stops a reply, Ctrl-D leaves.", "dim"))
    while True:
        try:
            message = ask("\nyou: " if sys.stdin.isatty() else "")
        except EOFError:
            _write("\n" if sys.stdin.isatty() else "")
            return
        except KeyboardInterrupt:
            _write("\n")
            continue
        if message:
            yield message


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()

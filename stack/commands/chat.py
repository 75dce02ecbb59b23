"""``gaji chat``: a talk with a character."""

import sys
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from stack.api import ApiError, Event, Gateway, Json
from stack.commands.text import printable
from stack.errors import StackError
from stack.sessions import GuestSession

_SHOWN_MESSAGES = 6
_TITLE_CHARACTERS = 80
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
    """

    novel: str | None = None
    scenario: str | None = None
    what_if: str | None = None
    character: str | None = None
    conversation: str | None = None
    messages: Sequence[str] = ()


def chat(url: str, options: ChatOptions) -> None:
    """Talks until there is nothing more to say.

    Raises:
        StackError: the gateway refuses, or nothing fits what was chosen.
        click.UsageError: something must be chosen and nobody can be asked.
    """
    with Gateway(url, GuestSession(url)) as gateway:
        if options.conversation:
            conversation = gateway.get(f"/api/conversations/{options.conversation}")
            name = printable(str(conversation.get("character_name", "")))
            _show_last(gateway, options.conversation, name)
            conversation_id = options.conversation
        else:
            novel = _choose_novel(gateway, options)
            scenario = _choose_scenario(gateway, novel, options)
            character = _choose_character(gateway, novel, options)
            name = printable(str(character["name"]))
            conversation_id = _open(gateway, scenario, character, name)
        for message in options.messages or _asked(name):
            _say(gateway, conversation_id, name, message)
        if not options.messages:
            _err.print(Text(f"go on later: gaji chat --conversation {conversation_id}", "dim"), soft_wrap=True)


def _choose_novel(gateway: Gateway, options: ChatOptions) -> Json:
    novels = [n for n in gateway.all("/api/novels", "novels") if n.get("status") == "INGESTION_STATUS_COMPLETE"]
    if not novels:
        raise StackError("there is no novel on the shelf yet", "put one there: gaji ingest FILE")
    return _choose(
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
        return _what_if(gateway, novel_id, options.what_if)
    scenarios = list(gateway.all(f"/api/novels/{novel_id}/scenarios", "scenarios"))
    own = {"scenario_id": "", "title": "write your own what-if"}
    if options.scenario or (not sys.stdin.isatty() and scenarios):
        return _choose("scenario", scenarios, options.scenario, key="scenario_id", label="title")
    if not sys.stdin.isatty():
        raise click.UsageError("the novel has no scenario yet: write one with --what-if TEXT")
    chosen = _choose("scenario", [*scenarios, own], None, key="scenario_id", label="title")
    return chosen if chosen["scenario_id"] else _what_if(gateway, novel_id, _ask("What if ... "))


def _what_if(gateway: Gateway, novel_id: str, text: str) -> Json:
    title = text if len(text) <= _TITLE_CHARACTERS else text[: _TITLE_CHARACTERS - 1] + "…"
    return gateway.post("/api/scenarios", {"novel_id": novel_id, "title": title, "description": text})


def _choose_character(gateway: Gateway, novel: Json, options: ChatOptions) -> Json:
    characters = list(gateway.all(f"/api/novels/{novel['novel_id']}/characters", "characters"))
    return _choose("character", characters, options.character, key="character_id", label="name")


def _choose(
    what: str,
    items: Sequence[Json],
    wanted: str | None,
    *,
    key: str,
    label: str,
    line: Callable[[Json], str] | None = None,
) -> Json:
    """By id, else by the one label that is, begins with or contains what is wanted; asks where nothing is."""
    if wanted is not None:
        sought = wanted.casefold()
        labels = [(item, str(item[label]).casefold()) for item in items]
        for fits in (
            [item for item in items if item[key] == wanted],
            [item for item, name in labels if name == sought],
            [item for item, name in labels if name.startswith(sought)],
            [item for item, name in labels if sought in name],
        ):
            if len(fits) == 1:
                return fits[0]
            if fits:
                break
        names = "; ".join(printable(str(item[label])) for item in (fits or items)[:10]) or "none"
        kind = "more than one" if fits else "no"
        raise StackError(f"{kind} {what} fits {wanted!r}", f"name one of: {names}")
    if not items:
        raise StackError(f"the novel has no {what}", "choose another novel")
    if len(items) == 1:
        return items[0]
    if not sys.stdin.isatty():
        raise click.UsageError(f"there is more than one {what}: choose with --{what}")
    _out.print(Text(f"\nChoose a {what}:", "bold"))
    for number, item in enumerate(items, 1):
        _out.print(Text(f"{number:4d}  {printable(line(item) if line else str(item[label]))}"))
    while True:
        answer = _ask(f"{what} [1]: ") or "1"
        if answer.isdecimal() and 1 <= int(answer) <= len(items):
            return items[int(answer) - 1]
        _out.print(f"a number from 1 to {len(items)}")


def _open(gateway: Gateway, scenario: Json, character: Json, name: str) -> str:
    params = {
        "scenario_id": str(scenario["scenario_id"]),
        "character_id": str(character["character_id"]),
        "request_id": uuid.uuid4().hex,
    }
    last = _show_reply(name, gateway.stream("GET", "/api/conversations/create-stream", params=params))
    if last is None:
        raise StackError("the opening was stopped", "begin again with gaji chat")
    return str(last["conversation_id"])


def _say(gateway: Gateway, conversation_id: str, name: str, message: str) -> None:
    body = {"content": message, "request_id": uuid.uuid4().hex}
    path = f"/api/conversations/{conversation_id}/messages-stream"
    try:
        _show_reply(name, gateway.stream("POST", path, json=body))
    except ApiError as error:
        if not sys.stdin.isatty():
            raise
        _err.print(Text(f"\n{error}", "red"), soft_wrap=True)


def _show_reply(name: str, events: Generator[Event, None, None]) -> Json | None:
    """Shows a reply as it comes; returns its end, None when Ctrl-C stopped it."""
    progress = Progress(TextColumn("{task.description}"), BarColumn(), console=_err, transient=True)
    task = progress.add_task("...", total=100)
    begun = False
    # Closing the generator closes the connection, and that stops the reply.
    with closing(events) as reply, progress:
        try:
            for event in reply:
                match event.name:
                    case "progress":
                        description = printable(str(event.data.get("message") or event.data.get("stage", "")))
                        progress.update(task, completed=event.data.get("progress", 0), description=description)
                    case "token":
                        if not begun:
                            progress.stop()
                            _write(f"\n{name}: ")
                            begun = True
                        _write(printable(str(event.data.get("content", ""))))
                    case "complete":
                        progress.stop()
                        _write("\n" if begun else f"\n{name}: {printable(str(event.data.get('content', '')))}\n")
                        return event.data
        except KeyboardInterrupt:
            progress.stop()
            _write(" [stopped]\n")
            if not sys.stdin.isatty():
                raise
            return None
    raise StackError("the reply broke off", "look at `gaji status` and try again")


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
            message = _ask("\nyou: " if sys.stdin.isatty() else "")
        except EOFError:
            _write("\n" if sys.stdin.isatty() else "")
            return
        except KeyboardInterrupt:
            _write("\n")
            continue
        if message:
            yield message


def _ask(prompt: str) -> str:
    return input(prompt).strip()


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()

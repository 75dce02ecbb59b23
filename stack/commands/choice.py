"""One of many: by name, else by number."""

import sys
from collections.abc import Callable, Sequence

import click
from rich.console import Console
from rich.text import Text

from stack.answers import Json
from stack.commands.text import one_line
from stack.errors import StackError

_SHOWN_NAMES = 10
_out = Console(highlight=False)


def ask(prompt: str) -> str:
    """What a person types, without outer spaces."""
    return input(prompt).strip()


def choose(
    what: str,
    items: Sequence[Json],
    wanted: str | None,
    *,
    key: str,
    label: str,
    line: Callable[[Json], str] | None = None,
) -> Json:
    """By id, else by the one label that is, begins with or contains what is wanted; asks where nothing is.

    Args:
        what: the kind, which is also the option that names one.
        items: to choose from.
        wanted: an id or a part of a label; None: nothing in particular.
        key: where an item has its id.
        label: where an item has its name.
        line: how an item is shown in a list; None: by its label.

    Raises:
        StackError: none, or more than one, fits.
        click.UsageError: one must be named, and nobody can be asked.
    """
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
        kind = "more than one" if fits else "no"
        raise StackError(f"{kind} {what} fits {wanted!r}", f"name one of: {_names(fits or items, label)}")
    if not items:
        raise StackError(f"the novel has no {what}", "choose another novel")
    if len(items) == 1:
        return items[0]
    if not sys.stdin.isatty():
        raise click.UsageError(f"there is more than one {what}: choose with --{what} one of: {_names(items, label)}")
    _out.print(Text(f"\nChoose a {what}:", "bold"))
    for number, item in enumerate(items, 1):
        _out.print(Text(f"{number:4d}  {one_line(line(item) if line else str(item[label]))}"))
    while True:
        answer = ask(f"{what} [1]: ") or "1"
        if answer.isdecimal() and 1 <= int(answer) <= len(items):
            return items[int(answer) - 1]
        _out.print(f"a number from 1 to {len(items)}")


def _names(items: Sequence[Json], label: str) -> str:
    shown = [one_line(str(item[label])) for item in items[:_SHOWN_NAMES]]
    more = len(items) - len(shown)
    return "; ".join([*shown, f"{more} more"] if more else shown) or "none"

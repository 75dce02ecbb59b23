"""What ``gaji up`` tells of its services."""

import json
from collections.abc import Sequence
from contextlib import suppress

from rich.console import Console
from rich.text import Text

from stack.commands.text import printable
from stack.supervisor import Child

_DEATH_LINES = 5
_LINE_CHARACTERS = 300


class Teller:
    """Tells people what happens, one line each; a terminal that has gone is no reason to stop.

    Args:
        console: where people read.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: set[str] = set()
        self._starting: dict[str, None] = {}
        self._status = console.status("")

    def say(self, text: str, style: str = "") -> None:
        """One line."""
        with suppress(OSError):
            self._console.print(Text(printable(text), style), soft_wrap=True)

    def rest(self) -> None:
        """Nothing is being started any more."""
        self._starting.clear()
        self._show_starting()

    def started(self, child: Child) -> None:
        """Where somebody watches, names it among what is being started."""
        self._starting[child.program.name] = None
        self._show_starting()

    def ready(self, child: Child, seconds: float) -> None:
        """A line for a child that does its work."""
        name = child.program.name
        self._done(name)
        again = " again" if name in self._seen else ""
        self._seen.add(name)
        where = child.facts.get("url") or child.facts.get("grpc") or child.facts.get("admin", "")
        with suppress(OSError):
            line = Text.assemble(("  ✓ ", "green"), f"{name:<14}", (f"{seconds:5.1f} s{again}  {where}", "dim"))
            self._console.print(line, soft_wrap=True)

    def died(self, child: Child, why: str, lines: Sequence[str], pause: float) -> None:
        """A line for a child that ended, its last words, and when it is started again."""
        self._done(child.program.name)
        self.say(f"  ✗ {why}; starting it again in {pause:g} s ({child.program.log.path})", "red")
        if " cannot start: " not in why:  # else it has said it in a sentence
            for line in map(_plainly, lines[-_DEATH_LINES:]):
                self.say(f"      {line[:_LINE_CHARACTERS]}", "dim")

    def _done(self, name: str) -> None:
        self._starting.pop(name, None)
        self._show_starting()

    def _show_starting(self) -> None:
        with suppress(OSError):
            if self._starting:
                self._status.update(f"starting {', '.join(self._starting)} ...")
                self._status.start()
            else:
                self._status.stop()


def _plainly(line: str) -> str:
    """A line of a service's log, without its JSON: the message and what went wrong last."""
    try:
        entry = json.loads(line)
        cause = str(entry.get("exception", "")).strip().splitlines()[-1:]
        return ": ".join([str(entry["message"]), *cause])
    except (ValueError, KeyError, AttributeError, TypeError):
        return line

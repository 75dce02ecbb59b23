"""What of requirements.lock some extras of pyproject.toml need, with hashes: ``python locked.py gateway [FOLDER]``.

An image installs the room that it runs and nothing else, in the very versions that were tested. The lock says of each
package who asked for it (``# via``); read the other way round, that is what each package needs. So nothing is resolved
here, and no index is asked. Imports the standard library alone: it runs before anything is installed.
"""

import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

_PIN = re.compile(r"([A-Za-z0-9._-]+)==")
_VIA = re.compile(r"    #\s*(?:via\b)?\s*([A-Za-z0-9._-]*)")
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9._-]+)\s*(?:\[([^\]]*)\])?")
_PROJECT = "gaji"


def normalized(name: str) -> str:
    """A package's name as lock files write it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted(project: Mapping[str, Any], extras: Iterable[str]) -> set[str]:
    """The packages that the project's core and some extras name.

    Args:
        project: the table ``project`` of pyproject.toml.
        extras: names of extras.

    Raises:
        ValueError: there is no such extra.
    """
    offered = project["optional-dependencies"]
    names, requirements, seen, todo = set[str](), list(project["dependencies"]), set[str](), list(extras)
    while todo or requirements:
        if todo:
            extra = todo.pop()
            if extra not in offered:
                raise ValueError(f"there is no extra {extra!r}; there are {', '.join(offered)}")
            if extra not in seen:
                seen.add(extra)
                requirements += offered[extra]
            continue
        match = _REQUIREMENT.match(requirements.pop())
        assert match is not None  # noqa: S101 - the file is our own
        name = normalized(match[1])
        if name == _PROJECT:
            todo += [part.strip() for part in (match[2] or "").split(",")]
        else:
            names.add(name)
    return names


def blocks(lock: str) -> Iterator[tuple[str, str]]:
    """Each pinned package with its lines of the lock; a package may have several, for several Pythons."""
    name, lines = "", list[str]()
    for line in lock.splitlines():
        pin = _PIN.match(line)
        if pin:
            if name:
                yield name, "\n".join(lines)
            name, lines = normalized(pin[1]), []
        if name:
            lines.append(line)
    if name:
        yield name, "\n".join(lines)


def needs(lock: str) -> dict[str, set[str]]:
    """What each package asked for."""
    asked: dict[str, set[str]] = defaultdict(set)
    for name, block in blocks(lock):
        for line in block.splitlines():
            if asker := _VIA.match(line):
                asked[normalized(asker[1])].add(name)
    return asked


def locked(lock: str, first: Iterable[str]) -> str:
    """The lines of the lock for some packages and all that they need.

    Raises:
        ValueError: the lock has not one of them: it is older than pyproject.toml.
    """
    asked, chosen, todo = needs(lock), set[str](), list(first)
    while todo:
        name = todo.pop()
        if name not in chosen:
            chosen.add(name)
            todo += asked[name]
    pinned = list(blocks(lock))
    if missing := chosen - {name for name, _ in pinned}:
        raise ValueError(f"not in the lock: {', '.join(sorted(missing))}; run `make lock`")
    return "".join(f"{block}\n" for name, block in pinned if name in chosen)


def main(arguments: list[str]) -> None:
    """Prints them."""
    extras, folder = arguments[0].split(","), Path(arguments[1] if len(arguments) > 1 else ".")
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    sys.stdout.write(locked((folder / "requirements.lock").read_text(encoding="utf-8"), wanted(project, extras)))


if __name__ == "__main__":
    main(sys.argv[1:])

"""What is in the image of each room: the packages that its extras need, by the lock."""

import importlib.util
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distributions, packages_distributions
from types import ModuleType

from tests.deploy.manifests import DEPLOY, REPOSITORY


@cache
def locked() -> ModuleType:
    """deploy/container/locked.py, which is a script of the image and no package of ours."""
    spec = importlib.util.spec_from_file_location("locked", DEPLOY / "container" / "locked.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def extras() -> dict[str, tuple[str, ...]]:
    """The extras in each image, as deploy/container/build says."""
    lines = (DEPLOY / "container" / "build").read_text().splitlines()
    built = (re.fullmatch(r"build (\S+) (\S+) (room|gateway)", line) for line in lines)
    return {match[1]: tuple(match[2].split(",")) for match in built if match}


@cache
def packages(room: str) -> frozenset[str]:
    """The packages in a room's image, by their normalized names."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    lock = (REPOSITORY / "requirements.lock").read_text()
    chosen = locked().locked(lock, locked().wanted(project, extras()[room]))
    return frozenset(name for name, _ in locked().blocks(chosen))


@cache
def owners() -> Mapping[str, list[str]]:
    """The packages that each import name here is of."""
    return packages_distributions()


@cache
def absent(room: str) -> frozenset[str]:
    """The import names of what is installed here and not in a room's image."""
    inside, normalized = packages(room), locked().normalized
    ours = {"gaji"}  # installed as editable: it has no files of its own to be named by
    return frozenset(
        name for name, of in owners().items() if not any(normalized(owner) in inside | ours for owner in of)
    )


@cache
def installed() -> dict[str, frozenset[str]]:
    """What each installed package requires here, extras of a requirement left out: the least that it needs."""
    from packaging.requirements import Requirement  # noqa: PLC0415 - comes with pytest

    normalized = locked().normalized
    found = {}
    for distribution in distributions():
        required = map(Requirement, distribution.requires or [])
        needed = (one for one in required if one.marker is None or one.marker.evaluate({"extra": ""}))
        found[normalized(distribution.metadata["Name"])] = frozenset(normalized(one.name) for one in needed)
    return found

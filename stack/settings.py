"""The variables ``GAJI_*`` against what the services know."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from urllib.parse import SplitResult, urlsplit

from pydantic import ValidationError

from mesh.config import MeshSettings
from stack.children import ROOMS

_OWN = frozenset({"GAJI_URL", "GAJI_DATA_DIR"})
# A stack finds these itself; what the environment says of them is looked at elsewhere, or does not count.
_GIVEN = frozenset({"GAJI_DATABASE_URL", "GAJI_REDIS_URL"})
_PREFIX = "GAJI_"


def settings_amiss(environment: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """What a stack with these variables would stumble over.

    Returns:
        A sentence on each setting that is refused, and the names that no service knows.
    """
    wrong: dict[str, None] = {}
    known: set[str] = set(_OWN)
    for settings in _settings():
        known.update(f"{_PREFIX}{name.upper()}" for name in settings.model_fields)
        try:
            settings()
        except ValidationError as error:
            for problem in error.errors():
                name = f"{_PREFIX}{'.'.join(map(str, problem['loc'])).upper()}"
                if name in environment and name not in _GIVEN:
                    wrong[f"{name}: {problem['msg']}"] = None
    return list(wrong), sorted(name for name in environment if name.startswith(_PREFIX) and name not in known)


def parsed_url(url: str, *schemes: str) -> SplitResult | None:
    """The parts of a URL with one of these schemes and a possible port; None: it is none."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in schemes and parts.port != 0
    except ValueError:
        return None
    return parts if fits else None


def _settings() -> Iterator[type[MeshSettings]]:
    for room in ROOMS:
        if room.port is None:  # a worker has the settings of its room
            continue
        for value in vars(import_module(f"{room.module}.config")).values():
            if isinstance(value, type) and issubclass(value, MeshSettings) and value is not MeshSettings:
                yield value

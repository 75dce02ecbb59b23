"""Log levels for operators: gaji.mesh.v1.LogService, and the same as ``/logs`` of the admin port."""

import logging
from typing import Any

from gaji.mesh.v1 import log_service_pb2 as pb
from gaji.mesh.v1 import log_service_pb2_grpc as rpc

from mesh.operator_page import Action, Page, operator_page
from mesh.telemetry.log_levels import LEVELS, MOST, OURS, LogLevels
from mesh.telemetry.logs import get_logger
from mesh.validation import Violations

log = get_logger(__name__)

SERVICE = pb.DESCRIPTOR.services_by_name["LogService"]
SECONDS = 600.0
"""How long a level holds where nobody says."""
_SHORTEST, _LONGEST = 1.0, 24 * 3600.0
_TO_WIRE = {
    logging.DEBUG: pb.LOG_LEVEL_DEBUG,
    logging.INFO: pb.LOG_LEVEL_INFO,
    logging.WARNING: pb.LOG_LEVEL_WARNING,
    logging.ERROR: pb.LOG_LEVEL_ERROR,
}
_FROM_WIRE: dict[int, int | None] = {value: level for level, value in _TO_WIRE.items()}
_FROM_WIRE[pb.LOG_LEVEL_UNSPECIFIED] = None


class LogServicer(rpc.LogServiceServicer):
    """Answers operators.

    Args:
        levels: the process's.
    """

    def __init__(self, levels: LogLevels = LEVELS) -> None:
        self._levels = levels

    async def GetLogLevels(  # noqa: N802, D102 - the contract's name, and it says what it does
        self, request: pb.GetLogLevelsRequest, context: Any
    ) -> pb.GetLogLevelsResponse:
        return told(self._levels, request)

    async def SetLogLevel(  # noqa: N802, D102 - likewise
        self, request: pb.SetLogLevelRequest, context: Any
    ) -> pb.SetLogLevelResponse:
        return set_level(self._levels, request)


def told(levels: LogLevels, _request: pb.GetLogLevelsRequest) -> pb.GetLogLevelsResponse:
    """What is in force."""
    return pb.GetLogLevelsResponse(level=_TO_WIRE.get(levels.level), overrides=_overrides(levels))


def set_level(levels: LogLevels, request: pb.SetLogLevelRequest) -> pb.SetLogLevelResponse:
    """Sets a level for a while, and says what is in force then.

    Raises:
        InvalidArgument: the logger is none of ours, the level or the duration is none, or too many are set.
    """
    check = Violations()
    seconds = SECONDS
    if request.HasField("duration"):
        seconds = request.duration.seconds + request.duration.nanos / 1e9
    if not _SHORTEST <= seconds <= _LONGEST:
        check.add("duration", f"is {seconds:g} s; give 1 s to 24 h")
    if request.level not in _FROM_WIRE:
        check.add("level", f"is {request.level}, which is no level; use one of {', '.join(pb.LogLevel.keys())}")
    check.raise_if_any()
    level = _FROM_WIRE[request.level]
    try:
        levels.set(request.logger, level, seconds)
    except KeyError:
        name = request.logger[:100]
        check.add("logger", f"is {name!r}, which is none here; give {', '.join(OURS)} or one below these, or nothing")
    except OverflowError:
        check.add("logger", f"is one more than {MOST}; set one of those back first, or all by an empty name")
    check.raise_if_any()
    facts = {"of": request.logger or "all", "set_to": pb.LogLevel.Name(request.level), "seconds": seconds}
    log.warning("the log level was changed", extra=facts)
    return pb.SetLogLevelResponse(overrides=_overrides(levels))


def logs_page(levels: LogLevels = LEVELS) -> Page:
    """``/logs``, as a WSGI application."""
    return operator_page(
        Action(pb.GetLogLevelsRequest, lambda request: told(levels, request)),
        Action(pb.SetLogLevelRequest, lambda request: set_level(levels, request)),
        what="log levels",
        command="gaji logs",
        example='{"level": "LOG_LEVEL_DEBUG"}',
    )


def _overrides(levels: LogLevels) -> list[pb.LogOverride]:
    found = []
    for one, remaining in levels.overrides():
        override = pb.LogOverride(logger=one.logger, level=_TO_WIRE.get(one.level))
        override.remaining.FromMilliseconds(max(0, round(remaining * 1000)))
        found.append(override)
    return found

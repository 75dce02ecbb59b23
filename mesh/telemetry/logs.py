"""JSON logs: one object a line on standard error, the same fields everywhere."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import orjson

from mesh.telemetry import trace

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

_LOST_ANSWER = "ExecuteBatchError raised in core by servicer method"

# JSON leaves them as they are, terminals that show a log obey them, and some readers take them for the end of a line.
_ESCAPED = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F))}


class JsonFormatter(logging.Formatter):
    """``time``, ``level``, ``process``, ``logger``, ``message``, then the ids of the call and what the line adds.

    Args:
        process: the process's name, e.g. ``"search"``.
    """

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        context = trace.current()
        if context is not None:
            entry["request_id"] = context.request_id
            entry["trace_id"] = context.trace_id
        entry.update((key, value) for key, value in record.__dict__.items() if key not in _STANDARD)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        try:
            line = orjson.dumps(entry, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except TypeError:  # a lone surrogate, or what else only Python takes for text: the line must not be lost
            line = json.dumps(entry, default=str, skipkeys=True)
        return line if line.isascii() and "\x7f" not in line else line.translate(_ESCAPED)


def _caller_gone(record: logging.LogRecord) -> bool:
    """Makes one quiet line of gRPC's error with a traceback for an answer whose connection was lost meanwhile.

    It is no error of ours: gRPC says it when the connection broke before it has noted the call as cancelled.
    """
    if str(record.msg).startswith(_LOST_ANSWER):
        record.levelno, record.levelname, record.exc_info = logging.DEBUG, "DEBUG", None
        return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)
    return True


def configure(process: str, level: str) -> None:
    """Sends all logs of this process to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    handler.addFilter(_caller_gone)
    logging.captureWarnings(capture=True)


def get_logger(name: str) -> logging.Logger:
    """A logger; facts go into ``extra``, not into the sentence."""
    return logging.getLogger(name)

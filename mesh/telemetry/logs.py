"""JSON logs: one object a line on standard error, the same fields everywhere; docs/logs.md lists them."""

import json
import logging
import sys
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import orjson

from mesh.telemetry import trace
from mesh.telemetry.log_levels import LEVELS
from mesh.telemetry.metrics import LOG_RECORDS
from mesh.telemetry.secrets import without_secrets

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_FIRST = len(logging.makeLogRecord({}).__dict__)
"""Each record begins with so many attributes of its own: what a line adds comes behind them."""

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
            entry["span_id"] = context.span_id
        added = islice(record.__dict__.items(), _FIRST, None)
        entry |= {key: value for key, value in added if key not in _STANDARD}
        if record.exc_info:
            entry["exception"] = _without_details(self.formatException(record.exc_info), record.exc_info[1])
        if isinstance(error := entry.get("error"), str):
            entry["error"] = error.partition("\nDETAIL:")[0]
        try:
            line = orjson.dumps(entry, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except TypeError:  # a lone surrogate, or what else only Python takes for text: the line must not be lost
            line = json.dumps(entry, default=str, skipkeys=True)
        line = without_secrets(line)
        return line if line.isascii() and "\x7f" not in line else line.translate(_ESCAPED)


def _without_details(text: str, error: BaseException | None) -> str:
    """A traceback without what PostgreSQL tells of rows: values in them are readers' own."""
    seen: set[int] = set()
    left = [error]
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        left += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
        detail = getattr(one, "detail", None)
        for line in detail.splitlines() if isinstance(detail, str) else ():
            if line.strip():
                text = text.replace(line, "[detail]")
    return text


def _caller_gone(record: logging.LogRecord) -> bool:
    """Makes one quiet line of gRPC's error with a traceback for an answer whose connection was lost meanwhile.

    It is no error of ours: gRPC says it when the connection broke before it has noted the call as cancelled.
    """
    if str(record.msg).startswith(_LOST_ANSWER):
        record.levelno, record.levelname, record.exc_info = logging.DEBUG, "DEBUG", None
        return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)
    return True


_written = {name: LOG_RECORDS.labels(name) for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")}


def _counted(record: logging.LogRecord) -> bool:
    count = _written.get(record.levelname)
    if count is not None:
        count.inc()
    return True


def configure(process: str, level: str, *, texts: bool = False) -> None:
    """Sends all logs of this process to standard error as JSON.

    Args:
        process: its name.
        level: the least that is written, by name.
        texts: whether what people and models write is written as well (`log_texts`).
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(process))
    logging.getLogger().handlers[:] = [handler]
    LEVELS.configure(logging.getLevelNamesMapping()[level])
    for each in (_caller_gone, _counted):
        handler.addFilter(each)
    logging.captureWarnings(capture=True)
    _leave_out_what_no_line_has()
    _texts.on = texts


def _leave_out_what_no_line_has() -> None:
    """Records are made without place, thread and process (https://docs.python.org/3/howto/logging.html#optimization).

    To look for them takes a quarter of what a line costs.
    """
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


class _Texts:
    on = False


_texts = _Texts()


def log_texts(logger: logging.Logger, message: str, **texts: str) -> None:
    """Writes at DEBUG what people have written or asked, or models answered; unless GAJI_LOG_TEXTS is on, nothing.

    Texts go into the log in no other way.
    """
    if _texts.on:
        logger.debug(message, extra=texts)


def get_logger(name: str) -> logging.Logger:
    """A logger; facts go into ``extra``, not into the sentence."""
    return logging.getLogger(name)

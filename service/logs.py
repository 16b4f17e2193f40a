"""Logs: one JSON object a line on standard error, never with the content of a message."""

import datetime
import logging
import sys
import traceback
from typing import Any

import orjson


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON; fields passed as `extra={"fields": {...}}` become keys of their own."""

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._always = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without a line break."""
        line: dict[str, Any] = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._always,
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = describe_exception(record.exc_info[1])
        return orjson.dumps(line, default=str).decode()


def describe_exception(error: BaseException) -> dict[str, Any]:
    """Return the type and the places of an exception. Its text is left out: it may quote a message."""
    frames = traceback.extract_tb(error.__traceback__)
    described: dict[str, Any] = {
        "type": type(error).__name__,
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if error.__cause__ is not None:
        described["cause"] = describe_exception(error.__cause__)
    return described


def configure_logging(level: str, worker: int | None = None) -> None:
    """Send every logger of this process to standard error as JSON, with the number of the worker if it is one."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(worker))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)

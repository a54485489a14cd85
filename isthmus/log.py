"""The one home of logging: structlog, to stderr, as text or as JSON lines.

An event's name is constant, its data is in keys. Nothing that looks like a secret, and nothing long, gets through.
"""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from isthmus.clock import Clock

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["text", "json"]

REDACTED = "***"
LONGEST_VALUE = 500
"""Characters. A longer value is a row, a payload or a page of an error: cut, so that a log line stays one line."""

_SECRET_KEY = re.compile(r"password|passwd|secret|token|authorization|credential|api_?key|access_key", re.IGNORECASE)
_USER_INFO = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)\S*@", re.IGNORECASE)


def configure(format: Format = "text", level: Level = "info", *, stream: TextIO | None = None) -> None:  # noqa: A002 - the setting's name
    """Set up logging for this process. Safe to repeat; the last call holds.

    `stream` is where lines go, by default stderr as it is now. Libraries' own messages come the same way, from
    the level `warning` up.
    """
    out = stream if stream is not None else sys.stderr
    ours: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact,
        shorten,
    ]
    last: Processor
    if format == "json":
        last = structlog.processors.JSONRenderer(sort_keys=True)
    else:
        last = structlog.dev.ConsoleRenderer(
            colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback, sort_keys=False
        )
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[structlog.stdlib.add_logger_name, *ours, last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *names: _Lines(out, names[0] if names else "isthmus"),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *ours],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))


class _Lines(structlog.PrintLogger):
    """Writes whole lines to one stream, one thread at a time, and knows whose they are."""

    def __init__(self, out: TextIO, name: str) -> None:
        super().__init__(out)
        self.name = name


def get_logger(name: str) -> FilteringBoundLogger:
    """Give the logger of a module. Its events carry the name under `logger`."""
    return cast("FilteringBoundLogger", structlog.get_logger(name))


class Away:
    """Says once that something is away, and once that it is back.

    `part` is a short, constant word, e.g. `kinesis`: the events are `kinesis_away` and `kinesis_back`. One of
    these belongs to one coordinator; its methods are not meant for several threads.
    """

    def __init__(self, part: str, log: FilteringBoundLogger, clock: Clock) -> None:
        self._part = part
        self._log = log
        self._clock = clock
        self._since: float | None = None

    @property
    def is_away(self) -> bool:
        """Say whether the last word was that it is away."""
        return self._since is not None

    def failed(self, cause: str, **data: object) -> None:
        """Note a failure. Only the first one since it last worked is logged."""
        if self._since is None:
            self._since = self._clock.monotonic()
            self._log.warning(f"{self._part}_away", cause=cause, **data)

    def recovered(self, **data: object) -> None:
        """Note that it works. Logged only after a failure, with the seconds it took."""
        if self._since is not None:
            seconds = round(self._clock.monotonic() - self._since, 3)
            self._since = None
            self._log.info(f"{self._part}_back", seconds=seconds, **data)


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Hide the values of keys that look secret, and who logs in where in addresses. At every depth."""
    return cast("EventDict", _redacted(event))


def _redacted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: REDACTED if _SECRET_KEY.search(str(key)) and inner is not None else _redacted(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_redacted(inner) for inner in value]
    if isinstance(value, str):
        return _USER_INFO.sub(rf"\g<scheme>{REDACTED}@", value)
    return value


def shorten(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Cut long values, and say how long they were. Bytes never get through: they are somebody's data."""
    return {key: value if key == "exception" else _short(value) for key, value in event.items()}


def _short(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"({len(value)} bytes)"
    if isinstance(value, Mapping):
        value = {key: _short(inner) for key, inner in value.items()}
    elif isinstance(value, list | tuple):
        value = [_short(inner) for inner in value]
    text = value if isinstance(value, str) else repr(value)
    if len(text) > LONGEST_VALUE:
        return f"{text[:LONGEST_VALUE]}… ({len(text)} characters)"
    return value

"""Structured logs on stderr. They contain a journey's ids, never a body, an address or a token.

| level   | meaning                                                                                     |
|---------|---------------------------------------------------------------------------------------------|
| error   | a person has to act: a dead letter, a forged message, a crash, a setting that cannot work   |
| warning | something is degraded and recovers by itself: a retry, an open circuit, no database       |
| info    | the life of the process: consuming, draining, connected again                               |
| debug   | every handled message                                                                       |

The libraries' own logs (uvicorn, aiormq, pymongo) take the same path, at level warning and above: at level
debug some of them write bodies.
"""

import logging
import sys
from typing import Any

import structlog
from structlog.types import EventDict, Processor

from chassis.telemetry.program import program_version
from chassis.telemetry.redaction import redact

log: Any = structlog.get_logger()
_level = logging.INFO


def is_debug() -> bool:
    """Whether lines of level debug are written: then their fields are worth computing."""
    return _level <= logging.DEBUG


def configure(level: str, pretty: bool, *, service: str = "") -> None:
    """JSON lines, or coloured ones for people.

    `service`: the field of that name of each line that has none. Every JSON line has the program's version,
    too.
    """
    global _level
    _level = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_program(service, "" if pretty else program_version()),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: Processor = structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,  # so that a program can configure again
    )
    _configure_libraries(shared, renderer)


def _add_program(service: str, version: str) -> Processor:
    known = {name: value for name, value in (("service", service), ("version", version)) if value}

    def add(logger: Any, method: str, event: EventDict) -> EventDict:
        return known | dict(event)

    return add


def _configure_libraries(shared: list[Processor], renderer: Processor) -> None:
    """Standard library loggers write through the same processors."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *shared, renderer],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.set_name(__name__)
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if each.get_name() != __name__] + [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("aiormq").setLevel(logging.ERROR)  # it logs a traceback for every lost connection

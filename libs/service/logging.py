"""Structured logs, one JSON object a line, with secrets and personal data taken out (P12)."""

import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

from libs.service.privacy import redact, without_values


def configure(service: str, level: str = "info") -> None:
    """Set up the process's logs on standard error; uvicorn's and SQLAlchemy's go the same way."""
    structlog.configure(
        processors=[
            _of_request,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _named(service),
            _redacted,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Forward()]
    root.setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger: `log.info("what happened", order_id=...)`."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger(source=name))


REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The call that the present task works for."""


def _of_request(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if (request_id := REQUEST_ID.get()) is not None:
        event["request_id"] = request_id
    return event


def _named(service: str) -> structlog.typing.Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    return add


def _redacted(_logger: WrappedLogger, _method: str, event: EventDict) -> Mapping[str, Any]:
    if "exception" in event:
        event["exception"] = without_values(str(event["exception"]))
    return cast("Mapping[str, Any]", redact(dict(event)))


class _Forward(logging.Handler):
    """Libraries that log by the standard library."""

    def emit(self, record: logging.LogRecord) -> None:
        log = get_logger(record.name)
        log.log(record.levelno, record.getMessage(), exc_info=record.exc_info)

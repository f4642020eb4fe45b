"""Structured logs: structlog to stderr, so that stdout stays the program's."""

import logging
import os
import sys
from typing import Any, Literal

import orjson
import structlog


def configure_logs(
    level: Literal["debug", "info", "warning", "error"] = "warning",
    form: Literal["console", "json"] = "console",
) -> None:
    """Set up structlog for this process, unless its owner already has.

    A backend that embeds Frontrunner and configures structlog itself keeps its own setup.

    Args:
        level: the least severe lines that are written.
        form: how a line is written: for people (``console``), or as one JSON object (``json``).
    """
    if structlog.is_configured():
        return
    json = form == "json"
    stream = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 - there is none under pythonw
    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=_dumps)
        if json
        else structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.processors.format_exc_info] if json else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )


def _dumps(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()

"""The daemon's log on stderr: a record a line, whatever agents and strangers put into one."""

import logging
import sys
from types import TracebackType

from hyperhive.domain.terminal import safe

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class PlainFormatter(logging.Formatter):
    """Shows what could steer a terminal or pass for another record; only tracebacks have further lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own spelling
        """The record's line."""
        record.message = safe(record.message)
        return super().formatMessage(record)

    def formatException(  # noqa: N802 - logging's own spelling
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        """The traceback, indented, so that no line of it begins as a record does."""
        text = safe(super().formatException(ei), lines=True)
        return "\n".join(f"  {line}" for line in text.splitlines())


def set_up(level: str) -> None:
    """Log to stderr from ``level`` on: ``debug``, ``info``, ``warning`` or ``error``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter(FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    if level != "debug":
        # Its warnings are about what strangers send: whoever reaches the port could fill the log with them.
        logging.getLogger("uvicorn").setLevel(logging.ERROR)

"""The daemon's log on stderr: a record a line, whatever agents and strangers put into one."""

import logging
import sys
import time
from asyncio import CancelledError
from collections.abc import Callable
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


class Crowded(logging.Filter):
    """Says once in a while, in a line, that nobody can be let in: asyncio says it for each attempt, with a traceback.

    Args:
        every: seconds between two of them.
    """

    def __init__(self, *, every: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._every, self._clock = every, clock
        self._said = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        if not record.getMessage().startswith("socket.accept() out of system resource"):
            return True
        now = self._clock()
        if now - self._said < self._every:
            return False
        self._said = now
        record.msg, record.args = (
            "Nobody is let in: no file descriptors are left; trying again each second.",
            (),
        )
        record.exc_info = record.exc_text = None
        return True


class Stopping(logging.Filter):
    """Leaves out requests that the daemon's own end cut off: uvicorn calls them exceptions of the application."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        return not (record.exc_info and isinstance(record.exc_info[1], CancelledError))


def set_up(level: str) -> None:
    """Log to stderr from ``level`` on: ``debug``, ``info``, ``warning`` or ``error``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter(FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("asyncio").addFilter(Crowded())
    logging.getLogger("uvicorn.error").addFilter(Stopping())
    if level != "debug":
        # Its warnings are about what strangers send: whoever reaches the port could fill the log with them.
        logging.getLogger("uvicorn").setLevel(logging.ERROR)

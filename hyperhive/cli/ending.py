"""What is half made goes when a command is asked to end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def tidy() -> Iterator[None]:
    """Who is asked to end removes what is half made first, as with Ctrl-C."""
    asked = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) == signal.SIG_DFL]
    try:
        for number in asked:
            signal.signal(number, _end)
        yield
    finally:
        for number in asked:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, frame: object) -> None:
    raise SystemExit(128 + number)

"""Where the command under way came from. Its door says so once; whoever records the command reads it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ORIGIN: ContextVar[str] = ContextVar("origin", default="")


def where() -> str:
    """The door and, beyond this host's own sockets, the address: ``dashboard 127.0.0.1``, ``command line``."""
    return _ORIGIN.get()


@contextmanager
def coming_from(origin: str) -> Iterator[None]:
    """Everything that runs in this block, and what it awaits, comes from ``origin``."""
    token = _ORIGIN.set(origin)
    try:
        yield
    finally:
        _ORIGIN.reset(token)

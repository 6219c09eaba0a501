"""Waiting for what must come, with a deadline; the only place where tests sleep."""

import asyncio
import time
from collections.abc import Callable

_STEP = 0.005


def eventually(predicate: Callable[[], object], deadline: float = 60.0) -> None:
    """Return when ``predicate`` holds; fail after ``deadline`` seconds."""
    end = time.monotonic() + deadline
    while not predicate():
        assert time.monotonic() < end, f"not within {deadline} s: {predicate}"
        time.sleep(_STEP)


async def eventually_async(predicate: Callable[[], object], deadline: float = 60.0) -> None:
    """The same on the event loop, which goes on meanwhile."""
    end = time.monotonic() + deadline
    while not predicate():
        assert time.monotonic() < end, f"not within {deadline} s: {predicate}"
        await asyncio.sleep(_STEP)

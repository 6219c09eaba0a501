"""When the machine is short of something for a while: nobody has failed then, and it is tried again."""

import asyncio
import contextlib
import errno
from collections.abc import Awaitable, Callable
from typing import TypeVar

from hyperhive.errors import HiveError

AGAIN = 1.0
"""Seconds until what the machine failed is tried again."""
_RARELY = 60.0
"""Seconds that lie between two tries at most."""
_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC, errno.EAGAIN})

T = TypeVar("T")


def is_short(error: OSError) -> bool:
    """Whether an error says that descriptors, memory or space are used up, and may be there again soon."""
    return error.errno in _SHORT


async def persist(
    work: Callable[[], Awaitable[T]], *, stop: asyncio.Event, failed: Callable[[Exception], None]
) -> T | None:
    """Do ``work`` as soon as the machine lets it be done, trying ever less often.

    Args:
        stop: once set it is given up, and ``None`` is the answer.
        failed: told why, after each try that failed.
    """
    pause = AGAIN
    while not stop.is_set():
        try:
            return await work()
        except (HiveError, OSError, RuntimeError) as error:  # the last one: no thread could be started
            failed(error)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)
        pause = min(_RARELY, 2 * pause)
    return None

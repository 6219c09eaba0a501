"""When the machine is short of something for a while: nothing is known then, and nobody has failed."""

import errno

_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EAGAIN})
AGAIN = 1.0
"""Seconds until it is tried again."""


def is_short(error: OSError) -> bool:
    """Whether an error says that descriptors, memory or space are used up, and may be there again soon."""
    return error.errno in _SHORT

"""Memory: what the C library keeps of what was freed is kept small, for a daemon lives long."""

import ctypes

_ARENA_MAX = -8
"""``M_ARENA_MAX`` of glibc's ``mallopt``."""
_ARENAS = 2
_C = ctypes.CDLL(None)


def share_arenas() -> None:
    """Let all threads take memory from two places instead of one each, which all keep holes of their own.

    Python allocates under its interpreter's lock, so threads hardly ever wait for one another there. Call it before
    they are started. Nothing happens with a C library that knows no arenas.
    """
    if (mallopt := getattr(_C, "mallopt", None)) is not None:
        mallopt(_ARENA_MAX, _ARENAS)


def tidy() -> None:
    """Give back what a start or a storm took, where the C library keeps it: up to a third of all there is."""
    if (trim := getattr(_C, "malloc_trim", None)) is not None:
        trim(0)

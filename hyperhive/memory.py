"""Memory: what the C library keeps of what was freed is kept small, for a daemon lives long; and what is held."""

import _sqlite3
import ctypes
import sys

_ARENA_MAX = -8
"""``M_ARENA_MAX`` of glibc's ``mallopt``."""
_C = ctypes.CDLL(None)
_SQLITE = ctypes.CDLL(getattr(_sqlite3, "__file__", None))


class _MallInfo(ctypes.Structure):
    """``struct mallinfo2`` of glibc."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks"),
            *("uordblks", "fordblks", "keepcost"),
        )
    ]


def share_arena() -> None:
    """Let all threads take memory from one place instead of one each. Call it before they are started.

    Each place keeps holes of its own, and only of the first is the end given back by ``tidy``. Python allocates
    under its interpreter's lock, so threads hardly ever wait for one another there. Nothing happens with a C library
    that knows no arenas.
    """
    if (mallopt := getattr(_C, "mallopt", None)) is not None:
        mallopt(_ARENA_MAX, 1)


def tidy() -> None:
    """Give back what a start or a storm took, where the C library keeps it: up to a third of all there is."""
    if (trim := getattr(_C, "malloc_trim", None)) is not None:
        trim(0)


def held() -> dict[str, float]:
    """What this process holds, by what holds it; what the machine's libraries do not tell is left out.

    Returns:
        ``malloc held``: bytes of C code, SQLite's among them, and of Python's large objects; ``malloc free``: bytes
        that were freed and are kept; ``sqlite``: bytes of its caches, statements and schemas; ``blocks``: those of
        Python's small objects, by their number.
    """
    found = {"blocks": float(sys.getallocatedblocks())}
    if (mallinfo := getattr(_C, "mallinfo2", None)) is not None:
        mallinfo.restype = _MallInfo
        info = mallinfo()
        found |= {"malloc held": float(info.uordblks + info.hblkhd), "malloc free": float(info.fordblks)}
    if (used := getattr(_SQLITE, "sqlite3_memory_used", None)) is not None:
        used.restype = ctypes.c_int64
        found["sqlite"] = float(used())
    return found

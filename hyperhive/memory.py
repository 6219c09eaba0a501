"""Memory: what the C library keeps of what was freed is kept small, for a daemon lives long; and what is held."""

import _sqlite3
import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Of glibc's ``mallopt``."""
_SETTINGS = (
    # All threads take from two places instead of one each, which all keep holes of their own. Python allocates
    # under its interpreter's lock, so threads hardly ever wait for one another there.
    (_ARENA_MAX, 2),
    # What is large is a mapping of its own, and goes back whole. Left to itself, the C library puts the next one as
    # large among the small ones, which then keep its place. More than asyncio reads at once: that is freed at once.
    (_MMAP_THRESHOLD, 512 * 1024),
    (_TRIM_THRESHOLD, 2 * 1024 * 1024),
)
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


def keep_little() -> None:
    """Have the C library give back what is freed. Call it before threads are started.

    Nothing happens with a C library that knows no such settings.
    """
    if (mallopt := getattr(_C, "mallopt", None)) is not None:
        for setting, value in _SETTINGS:
            mallopt(setting, value)


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

"""A container's log: its end to read, and its size to bound. The container has it open for appending."""

import os
from pathlib import Path

_READ = 64 * 1024


def tail(path: Path, *, lines: int = 100, max_bytes: int = _READ) -> str:
    """The last ``lines`` lines, out of at most the last ``max_bytes`` bytes; empty when there is no log."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - max_bytes)
            file.seek(start)
            data = file.read(max_bytes)
    except OSError:
        return ""
    whole = data.partition(b"\n")[2] or data if start else data
    return "\n".join(whole.decode(errors="replace").splitlines()[-lines:] if lines else ())


def bound(path: Path, *, max_bytes: int, keep: int | None = None) -> bool:
    """Cut a log that is longer than ``max_bytes`` down to its last lines; whether it was cut.

    The file stays the same one, since what writes it has it open: what is written while it is cut may be
    lost, nothing else.

    Args:
        keep: about how many bytes stay; a quarter of ``max_bytes`` if absent.
    """
    try:
        file = path.open("r+b")
    except OSError:
        return False
    with file:
        size = file.seek(0, os.SEEK_END)
        if size <= max_bytes:
            return False
        left = max_bytes // 4 if keep is None else keep
        file.seek(size - left)
        data = file.read(left)
        file.seek(0)
        file.truncate()
        file.write(b"[earlier lines were cut]\n" + (data.partition(b"\n")[2] or data))
    return True

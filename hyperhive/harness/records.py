"""Files in the harness's own folder. The agent can write there: nothing that it plants may hold the harness up."""

import os
import stat
from pathlib import Path

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def read(path: Path, *, limit: int) -> bytes:
    """At most ``limit`` bytes of a file.

    Raises:
        OSError: there is none, or it is a link, a pipe or the like.
    """
    descriptor = os.open(path, _READ)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is no file")
        return os.read(descriptor, limit)
    finally:
        os.close(descriptor)


def write(path: Path, text: str) -> None:
    """Put ``text`` into ``path``, 0600, whole or not at all, whatever is there now.

    Raises:
        OSError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with open(os.open(part, _WRITE, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        file.write(text)
    os.replace(part, path)  # noqa: PTH105

"""The operator's token: made once, kept in a file that only the daemon's user reads."""

import os
import re
import secrets
import stat
from pathlib import Path

from hyperhive.errors import Broken, Refused
from hyperhive.web.sessions import write_private

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{32,256}")


def load_or_create_token(path: Path) -> str:
    """The token in ``path``; one of 256 bits is made when there is none.

    Raises:
        Refused: others may read the file, it is another user's, or it holds no token.
        Broken: it cannot be read or written.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return _create(path)
    except OSError as error:
        raise Broken(f"{path} cannot be opened: {error.strerror}.", code="token-unreadable") from None
    with os.fdopen(descriptor, errors="replace") as file:
        _check(path, os.fstat(file.fileno()))
        token = file.read(1024).strip()
    if _TOKEN.fullmatch(token) is None:
        raise Refused(f"{path} holds no token; delete it and start again to get a new one.", code="bad-token")
    return token


def _create(path: Path) -> str:
    token = secrets.token_urlsafe(32)
    try:
        write_private(path, f"{token}\n")
    except OSError as error:
        raise Broken(f"{path} cannot be written: {error.strerror}.", code="token-unwritable") from None
    return token


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"{path} is no file; remove it and start again.", code="bad-token")
    if found.st_uid not in (os.geteuid(), 0):
        raise Refused(f"{path} belongs to another user; delete it and start again.", code="bad-token")
    if found.st_mode & 0o077:
        raise Refused(
            f"{path} is open to others, so the token may be known; delete it and start again to get "
            "a new one, or 'chmod 600' it if you know better.",
            code="token-open",
        )

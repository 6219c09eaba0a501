"""The operator's environment files: which one a config names, and whether it may be used."""

import errno
import os
import stat
from pathlib import Path

from hyperhive.domain.agent_config import AgentConfig
from hyperhive.domain.environment import MAX_ENVIRONMENT, parse
from hyperhive.errors import Broken, Invalid

_CODE = "bad-environment"


class Environments:
    """Files of variables for Claude, such as credentials of other providers. They never leave their folder.

    Args:
        folder: where they are, each ``<name>.env``.
    """

    def __init__(self, *, folder: Path) -> None:
        self._folder = folder

    def prepare(self) -> None:
        """Make the folder, so that the operator finds it."""
        self._folder.mkdir(mode=0o700, exist_ok=True)

    def path(self, name: str) -> Path:
        """Where the file called ``name`` is."""
        return self._folder / f"{name}.env"

    def check(self, config: AgentConfig) -> Path | None:
        """The file that a config names, which can be used now; ``None``: it names none.

        Raises:
            Invalid: there is none, others can read it, or a line of it cannot be used; says what to do. No value
                is ever repeated.
            Broken: it cannot be read.
        """
        if config.environment is None:
            return None
        path, key = self.path(config.environment), f"agent.toml: environment: {config.environment}"
        raw = _read(path, key)
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise Invalid(f"{key}: {path} is not UTF-8.", code=_CODE) from None
        parse(text, file=str(path))
        return path


def _read(path: Path, key: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Invalid(
            f"{key}: there is no {path}; the operator makes it: install -m 0600 /dev/null {path}", code=_CODE
        ) from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Invalid(f"{key}: {path} is a link; put a regular file there.", code=_CODE) from None
        raise Broken(f"{key}: {path} cannot be opened: {error.strerror}.", code=_CODE) from None
    try:
        _check_owner(os.fstat(fd), path, key)
        return os.read(fd, MAX_ENVIRONMENT + 1)
    finally:
        os.close(fd)


def _check_owner(info: os.stat_result, path: Path, key: str) -> None:
    """Only the daemon's user may read it, for what is in it is secret."""
    if not stat.S_ISREG(info.st_mode):
        raise Invalid(f"{key}: {path} is not a regular file.", code=_CODE)
    if info.st_uid not in (0, os.geteuid()):
        raise Invalid(
            f"{key}: {path} belongs to user {info.st_uid}; give it to the daemon's user.", code=_CODE
        )
    if info.st_mode & 0o077:
        raise Invalid(f"{key}: others can read {path}; close it: chmod 600 {path}", code=_CODE)

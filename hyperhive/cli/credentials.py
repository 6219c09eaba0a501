"""Claude Code's login in a folder of its own, and what it brings into the agent's.

The agent can write its own folder: settings there would make Claude Code run programs on the host, with the
operator's rights. So the login sees none of it, and of what it leaves only the credentials are taken over.
"""

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile

from hyperhive.cli.ending import tidy
from hyperhive.cli.errors import CommandError

NAME = ".credentials.json"
_ELSEWHERE = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "CLAUDE_CODE_OAUTH_TOKEN")
"""What would make Claude Code log in as somebody else."""
UNATTENDED = 600.0
"""Seconds for a login outside of a terminal: at the end of its input Claude Code waits on, for ever."""


def log_in(claude: str, folder: str) -> int:
    """Run ``claude auth login`` in this terminal and put what it brought into ``folder``.

    Returns:
        Claude Code's exit status; nothing was taken over unless it is 0.

    Raises:
        CommandError: it could not be started, or did not end and nobody sees it, or left no credentials, or
            ``folder`` cannot take them.
    """
    env = {key: value for key, value in os.environ.items() if key not in _ELSEWHERE}
    with tidy(), tempfile.TemporaryDirectory(prefix="hyperhive-login-") as fresh:
        try:
            code = subprocess.call(
                [claude, "auth", "login"],
                env={**env, "CLAUDE_CONFIG_DIR": fresh},
                cwd=fresh,
                timeout=None if sys.stdin.isatty() else UNATTENDED,
            )
        except subprocess.TimeoutExpired:
            raise CommandError(
                f"Nobody completed the login within {UNATTENDED:.0f} s; run this in a terminal."
            ) from None
        except OSError as error:
            raise CommandError(
                f"{claude} could not be started: {error.strerror}; see 'hyperhive doctor'."
            ) from None
        if code == 0:
            _take_over(os.path.join(fresh, NAME), folder)
        return code


def _take_over(file: str, folder: str) -> None:
    try:
        with open(file, "rb") as source:
            content = source.read()
    except OSError:
        raise CommandError("Claude Code left no credentials; look at what it said, try again.") from None
    try:
        _write(content, folder)
    except OSError as error:
        raise CommandError(
            f"The login could not be put into {folder}: {error.strerror}; try again."
        ) from None


def _write(content: bytes, folder: str) -> None:
    """Whole or not at all, and through no link: whatever the agent has put there."""
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    draft = f"{NAME}.{secrets.token_hex(8)}"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(draft, flags, 0o600, dir_fd=place), "wb") as target:
            target.write(content)
            target.flush()
            os.fsync(target.fileno())
        os.replace(draft, NAME, src_dir_fd=place, dst_dir_fd=place)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft, dir_fd=place)
        raise
    finally:
        os.close(place)

"""What a build says while it runs: one file, begun anew by each, bounded, a line a step."""

import contextlib
import os
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

MAX_LOG = 256 * 1024
"""Bytes of one build's log."""
_MAX_LINE = 2_000
_RESERVED = 16 * 1024
"""Bytes that only steps may use, so that how it ended is there however much a container said."""
_TOLD = 5
"""Lines of what was read last that are remembered."""


class Step(StrEnum):
    """The steps of a build, in order; each line of the log that is not a container's begins with one."""

    BEGUN = "begun"
    QUEUED = "waiting"
    TAGGED = "building tag"
    RENDERING = "rendering"
    BUILT = "built"
    WARNING = "warning"
    ENDING = "ending"
    ENDED = "ended"
    STARTING = "starting"
    STARTED = "started"
    READY = "ready"
    BACK = "going back"
    DEPLOYED = "deployed tag"
    FAILED = "failed"
    DONE = "done"


class BuildLog:
    """The log of one build; it never fails one. Lines are those of ``Step``, with the seconds since it began.

    Args:
        path: the file; made when something is said.
        clock: seconds, monotonic.
    """

    def __init__(self, path: Path | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._begun: float | None = None
        self._written = 0
        self._cut = False

    def begin(self, text: str) -> None:
        """Begin a new file, by which who follows the log knows; what was said before this is not kept."""
        if self._path is None:
            return
        self._begun, self._written, self._cut = self._clock(), 0, False
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
            os.close(os.open(self._path, flags, 0o600))
        self.say(Step.BEGUN, text)

    def say(self, step: Step, text: str = "") -> None:
        """A step, and what is to be said of it."""
        if self._begun is None:
            return
        elapsed = self._clock() - self._begun
        self._write(f"[{elapsed:8.3f} s] {step.value}{': ' if text else ''}{_line(text)}\n", MAX_LOG)

    def quote(self, lines: str) -> None:
        """What a container said."""
        if self._begun is not None and lines:
            text = "".join(f"    | {_line(line)}\n" for line in lines.splitlines())
            self._write(text, MAX_LOG - _RESERVED)

    def _write(self, text: str, room: int) -> None:
        data = text.encode(errors="replace")
        if self._written + len(data) > room:
            if self._cut:
                return
            self._cut, data = True, b"    [what follows is cut]\n"
        self._written += len(data)
        assert self._path is not None
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(OSError):
            fd = os.open(self._path, flags)
            try:
                os.write(fd, data)
            finally:
                os.close(fd)


class Growth:
    """What is appended to a file from now on, in whole lines, as it comes. ``last``: the newest few read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.last: list[str] = []
        try:
            self._at = path.stat().st_size
        except OSError:
            self._at = 0

    def read(self, *, rest: bool = False) -> str:
        """The lines that came since, at most 64 KiB of them. ``rest``: also one that has not ended."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read(64 * 1024)
        except OSError:
            return ""
        end = len(data) if rest else data.rfind(b"\n") + 1
        self._at += end
        text = data[:end].decode(errors="replace")
        self.last = [*self.last, *text.splitlines()][-_TOLD:]
        return text


def _line(text: str) -> str:
    shown = "".join(char if char.isprintable() or char == "\t" else " " for char in text[: _MAX_LINE + 1])
    return shown if len(text) <= _MAX_LINE else shown[:_MAX_LINE] + " …"

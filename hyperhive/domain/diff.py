"""A unified diff, read: files, hunks, lines, bounded for a screen. Pure."""

from enum import StrEnum
from typing import Literal

from hyperhive.domain.value import Value

MAX_LINES = 20_000
"""Lines that one diff shows; the rest is counted, not shown."""
MAX_LINE = 2_000
"""Characters of one line shown."""


class Change(StrEnum):
    """What became of a file."""

    ADDED = "added"
    REMOVED = "removed"
    MODIFIED = "modified"
    RENAMED = "renamed"


class Line(Value):
    """One line. ``old`` and ``new``: its numbers, from 1; ``None`` where it is not. ``more``: characters cut off."""

    kind: Literal["context", "added", "removed"]
    old: int | None = None
    new: int | None = None
    text: str
    more: int = 0
    no_newline: bool = False


class Hunk(Value):
    """A run of lines. ``header``: what stands behind the second ``@@``."""

    header: str = ""
    lines: tuple[Line, ...] = ()


class FileDiff(Value):
    """One file. ``old_path``: where it was before, when that changed."""

    path: str
    old_path: str | None = None
    change: Change
    binary: bool = False
    added: int = 0
    removed: int = 0
    hunks: tuple[Hunk, ...] = ()


class Diff(Value):
    """All files of a diff.

    Args:
        base: commit it is compared with; ``None``: nothing, all is new.
        cut: lines beyond ``MAX_LINES`` that are not shown.
    """

    base: str | None = None
    sha: str | None = None
    files: tuple[FileDiff, ...] = ()
    cut: int = 0

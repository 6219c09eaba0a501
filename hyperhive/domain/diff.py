"""A unified diff, read: files, hunks, lines, bounded for a screen. Pure."""

import re
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
    """One file. ``old_path``: where it was before, when that changed.

    ``old_mode``, ``new_mode``: git's modes, where one of them is new (``100755``: it can be executed).
    """

    path: str
    old_path: str | None = None
    change: Change
    old_mode: str | None = None
    new_mode: str | None = None
    binary: bool = False
    added: int = 0
    removed: int = 0
    hunks: tuple[Hunk, ...] = ()


class Diff(Value):
    """All files of a diff.

    Args:
        base: commit it is compared with; ``None``: nothing, all is new.
        cut: lines beyond ``MAX_LINES`` that are not shown.
        whole: ``False`` when the text itself was cut off.
    """

    base: str | None = None
    sha: str | None = None
    files: tuple[FileDiff, ...] = ()
    cut: int = 0
    whole: bool = True


def parse(text: str, *, base: str | None, sha: str | None) -> Diff:
    """Read what ``git diff -p`` says of two commits, with prefixes ``a/`` and ``b/``. Text of any kind is read.

    Args:
        text: lines end with ``\\n`` alone: a carriage return belongs to its line.
        base, sha: what is compared, handed on.
    """
    reading = _Reading(text.split("\n"))
    files = []
    while not reading.at_end():
        if reading.peek().startswith("diff --git "):
            files.append(_read_file(reading))
        else:
            # "\\ The rest is cut off", or what no git says.
            reading.whole &= not reading.next().startswith("\\ ")
    return Diff(base=base, sha=sha, files=tuple(files), cut=reading.cut, whole=reading.whole)


class _Reading:
    """Where the reading is, and what it may still show."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines[:-1] if lines[-1] == "" else lines
        self._at = 0
        self._room = MAX_LINES
        self.cut = 0
        self.whole = True

    def at_end(self) -> bool:
        return self._at >= len(self._lines)

    def peek(self) -> str:
        return self._lines[self._at]

    def next(self) -> str:
        self._at += 1
        return self._lines[self._at - 1]

    def may_show(self) -> bool:
        """Whether one more line is shown; it counts as shown, or as cut."""
        self._room -= 1
        self.cut += self._room < 0
        return self._room >= 0


def _read_file(reading: _Reading) -> FileDiff:
    head = _Head(reading.next())
    while not reading.at_end() and head.take(reading.peek()):
        reading.next()
    hunks, added, removed = [], 0, 0
    while not reading.at_end() and (match := _HUNK.match(reading.peek())) is not None:
        reading.next()
        hunk, more, less = _read_hunk(reading, match)
        hunks.append(hunk)
        added, removed = added + more, removed + less
    return head.file(tuple(hunk for hunk in hunks if hunk.lines), added, removed)


class _Head:
    """The lines before the first hunk of a file."""

    def __init__(self, first: str) -> None:
        self._old, self._new = _both(first.removeprefix("diff --git "))
        self._change = Change.MODIFIED
        self._modes: list[str | None] = [None, None]
        self._binary = False

    def take(self, line: str) -> bool:
        """Whether the line belongs here."""
        for prefix, change in _CHANGES.items():
            if line.startswith(prefix):
                self._change = change
        word = line.partition(" ")[0]
        match line.split(" "):
            case ["old", "mode", mode] | ["deleted", "file", "mode", mode]:
                self._modes[0] = mode
            case ["new", "mode", mode] | ["new", "file", "mode", mode]:
                self._modes[1] = mode
            case ["rename" | "copy", "from", *_]:
                self._old = _path(line.split(" ", 2)[2])
            case ["rename" | "copy", "to", *_]:
                self._new = _path(line.split(" ", 2)[2])
            case ["---", *_] if line != "--- /dev/null":
                self._old = _path(line[4:].removesuffix("\t"), prefix="a/")
            case ["+++", *_] if line != "+++ /dev/null":
                self._new = _path(line[4:].removesuffix("\t"), prefix="b/")
            case ["Binary", "files", *_] | ["GIT", "binary", "patch"]:
                self._binary = True
            case _:
                return word in ("index", "similarity", "dissimilarity", "---", "+++")
        return True

    def file(self, hunks: tuple[Hunk, ...], added: int, removed: int) -> FileDiff:
        path = self._old if self._change is Change.REMOVED else self._new
        return FileDiff(
            path=_readable(path),
            old_path=_readable(self._old) if self._change is Change.RENAMED else None,
            change=self._change,
            old_mode=self._modes[0],
            new_mode=self._modes[1],
            binary=self._binary,
            added=added,
            removed=removed,
            hunks=hunks,
        )


_HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@ ?(.*)", re.DOTALL)
_CHANGES = {
    "new file mode ": Change.ADDED,
    "deleted file mode ": Change.REMOVED,
    "rename from ": Change.RENAMED,
}
_KINDS: dict[str, Literal["context", "added", "removed"]] = {" ": "context", "+": "added", "-": "removed"}


def _read_hunk(reading: _Reading, match: re.Match[str]) -> tuple[Hunk, int, int]:
    """A hunk, and how many lines it adds and removes. Its lines are counted: they may look like anything."""
    old, new = int(match[1]), int(match[3])
    old_end, new_end = old + int(match[2] or 1), new + int(match[4] or 1)
    lines: list[Line] = []
    added = removed = 0
    while not reading.at_end():
        raw = reading.peek()
        kind = _KINDS.get(raw[:1])
        if raw.startswith("\\ No newline"):
            if lines and reading.cut == 0:
                lines[-1] = lines[-1].model_copy(update={"no_newline": True})
        elif kind is None or (old >= old_end and new >= new_end):
            break
        else:
            if reading.may_show():
                lines.append(_line(raw, kind, old, new))
            added, removed = added + (kind == "added"), removed + (kind == "removed")
            old, new = old + (kind != "added"), new + (kind != "removed")
        reading.next()
    return Hunk(header=match[5][:MAX_LINE], lines=tuple(lines)), added, removed


def _line(raw: str, kind: Literal["context", "added", "removed"], old: int, new: int) -> Line:
    return Line(
        kind=kind,
        old=None if kind == "added" else old,
        new=None if kind == "removed" else new,
        text=raw[1 : MAX_LINE + 1],
        more=max(0, len(raw) - 1 - MAX_LINE),
    )


def _both(names: str) -> tuple[str, str]:
    """Both paths of the first line. It is ambiguous where they differ, but then other lines name them."""
    half = len(names) // 2
    old, new = names[:half], names[half + 1 :]
    return _path(old, prefix="a/"), _path(new, prefix="b/")


_ESCAPE = re.compile(r'\\([abtnvfr"\\]|[0-3][0-7]{2})')
_ESCAPED = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}


def _path(name: str, *, prefix: str = "") -> str:
    if len(name) > 1 and name[0] == name[-1] == '"':
        raw, at = bytearray(), 1
        for match in _ESCAPE.finditer(name, 1, len(name) - 1):
            raw += name[at : match.start()].encode(errors="replace")
            code = match[1]
            raw.append(_ESCAPED[code] if code in _ESCAPED else int(code, 8))
            at = match.end()
        name = (raw + name[at:-1].encode(errors="replace")).decode(errors="replace")
    return name.removeprefix(prefix)


def _readable(path: str) -> str:
    """A path for a screen: what would not show is written out."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in path)

"""The files of ``main`` beside an applied repository: brought from one commit's to another's, file by file."""

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from hyperhive.errors import Broken
from hyperhive.repos import files
from hyperhive.repos.git import Git, GitFailed
from hyperhive.repos.quarantine import MAX_OBJECT
from hyperhive.repos.refs import read_ref, remove_locks
from hyperhive.repos.tree import EDITED, MAX_TREE, Entry, list_tree

_MARK = "hyperhive-checkout"
_HEAD = b"ref: refs/heads/main\n"


@dataclass(frozen=True, slots=True)
class WorkTree:
    """The work tree of an applied repository.

    What the operator wrote there and no commit holds is kept: a file that the new commit does not change stays as
    it is; one that it does change is kept beside as ``<name>.edited``.

    Args:
        folder: ``applied/``.
        git: its git.
    """

    folder: Path
    git: Git

    @property
    def _mark(self) -> Path:
        return self.folder / ".git" / _MARK

    def at(self) -> str | None:
        """The commit whose files are there; ``None``: none, or it was not finished."""
        with contextlib.suppress(FileNotFoundError, Broken):
            return read_ref(self.folder / ".git", _MARK)
        return None

    def bring(self, sha: str) -> None:
        """Make the files those of ``sha``. Killed halfway, the next call goes on.

        Raises:
            Broken: the disk or the repository refuses.
        """
        old = self.at()
        if old == sha:
            return
        try:
            before = self._files(old) if old is not None else {}
            after = self._files(sha)
            for path in sorted(before.keys() - after.keys(), reverse=True):
                self._remove(path, before[path])
            self._write(before, after)
            self._index(sha)
            self._replace(self.folder / ".git" / "HEAD", _HEAD, 0o600)
            self._replace(self._mark, f"{sha}\n".encode(), 0o600)
        except GitFailed as failure:
            raise Broken(
                f"The files of {sha} in {self.folder} cannot be written: {failure.reason}."
            ) from None
        except OSError as error:
            raise Broken(f"{error.filename or self.folder} cannot be written: {error.strerror}.") from None

    def _files(self, sha: str) -> dict[str, Entry]:
        return {entry.path: entry for entry in list_tree(self.git, sha) if entry.kind == "blob"}

    def _write(self, before: dict[str, Entry], after: dict[str, Entry]) -> None:
        found = {path: _read(self.folder / path) for path in after}
        wanted = [entry for path, entry in after.items() if _is_due(found[path], before.get(path), entry)]
        for entry, content in zip(wanted, self._contents(wanted), strict=True):
            target = self.folder / entry.path
            self._make_room(target.parent)
            there, known = found[entry.path], before.get(entry.path)
            edited = there is not None and there != content and (known is None or _differs(there, known))
            if edited or target.is_dir():
                _set_aside(target)
            self._replace(target, content, 0o700 if entry.mode == "100755" else 0o600)

    def _contents(self, entries: list[Entry]) -> list[bytes]:
        if not entries:
            return []
        asked = "".join(f"{entry.oid}\n" for entry in entries).encode()
        raw = self.git.run("cat-file", "--batch", "--buffer", data=asked, limit=MAX_TREE + 100 * len(entries))
        found, begin = [], 0
        for entry in entries:
            end = raw.index(b"\n", begin)
            if raw[begin:end] != f"{entry.oid} blob {entry.size}".encode():
                raise GitFailed(f"object {entry.oid} is missing or broken")
            found.append(raw[end + 1 : end + 1 + entry.size])
            begin = end + 2 + entry.size
        return found

    def _make_room(self, folder: Path) -> None:
        """Make the folders down to ``folder``; what is in their way is set aside, a link removed."""
        steps = [folder, *folder.parents]
        for step in reversed(steps[: steps.index(self.folder)]):
            if step.is_symlink():
                step.unlink()
            elif step.exists() and not step.is_dir():
                _set_aside(step)
            step.mkdir(mode=0o700, exist_ok=True)

    def _remove(self, path: str, entry: Entry) -> None:
        """Remove a file that the new commit has no more, and folders that are empty by that."""
        target = self.folder / path
        there = _read(target)
        if there is None:
            return
        if _differs(there, entry):
            _set_aside(target)
            return
        target.unlink()
        folder = target.parent
        while folder != self.folder:
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    def _index(self, sha: str) -> None:
        """Bring the index along, so that the operator's own ``git status`` tells the truth."""
        try:
            self.git.run("read-tree", sha)
        except GitFailed:
            if not remove_locks(self.folder / ".git"):
                raise
            self.git.run("read-tree", sha)

    def _replace(self, path: Path, content: bytes, mode: int) -> None:
        draft = self.folder / ".git" / "checkout.tmp"
        files.remove(draft)
        files.write_file(draft, content, mode=mode)
        fd = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        draft.rename(path)


def _read(path: Path) -> bytes | None:
    try:
        return files.read_file(path, MAX_OBJECT)
    except OSError:
        return None


def _differs(content: bytes | None, entry: Entry) -> bool:
    if content is None:
        return True
    head = b"blob %d\0" % len(content)
    return hashlib.sha1(head + content, usedforsecurity=False).hexdigest() != entry.oid


def _is_due(there: bytes | None, known: Entry | None, entry: Entry) -> bool:
    """Whether a file is to be written: not when it is so already, or edited while no commit changed it."""
    if known is not None and known.mode != entry.mode:
        return True
    if there is not None and known is not None and known.oid == entry.oid:
        return False
    return _differs(there, entry)


def _set_aside(path: Path) -> None:
    """Keep what the operator has there under another name."""
    aside = path.with_name(f"{path.name}{EDITED}")
    if path.is_symlink():
        path.unlink()
        return
    files.remove(aside)
    path.rename(aside)

"""Restores a backup: checked before anything is touched, then all of it or nothing."""

import errno
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from hyperhive.actors.removal import remove_tree
from hyperhive.archive.check import Examined, Metered, examine, kind, members, reading
from hyperhive.archive.manifest import DATABASE, Manifest
from hyperhive.errors import Broken, HiveError, Refused
from hyperhive.home import UNDER_WAY, Claim, check_empty, check_free, check_room
from hyperhive.store.copies import Content, detach

_CHUNK = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MARGIN = 16 * 1024 * 1024
_BLOCK = 4096
_LATEST = 2**33
"""Seconds since 1970: what an agent gave its files may be beyond what a disk keeps."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A hive that was restored: from when and of which version, its agents, and whether it moved."""

    home: Path
    manifest: Manifest
    agents: tuple[str, ...]
    moved: bool


def restore(file: Path, home: Path, *, progress: Callable[[str], None] = lambda text: None) -> Restored:
    """Make ``home`` the hive that ``file`` holds.

    Raises:
        Refused: a daemon runs on the home, it is not empty, or the disk has no room.
        Broken: the backup cannot be used, or something failed; nothing of it is left in the home.
    """
    check_free(home)
    try:
        if file.exists() and not file.is_file():  # a pipe would be waited for
            raise Refused(f"{file} is no file; name the backup.", code="no-backup")
        with file.open("rb") as source:
            progress("checking")
            examined = _examined(file, source)
            with Claim(home):
                check_empty(home)
                check_room(home, examined.bytes + examined.entries * _BLOCK + _MARGIN)
                content = _place(source, file, home, examined, progress)
    except OSError as error:
        raise Broken(f"{file} was not restored: {_reason(error)}; nothing was kept of it.") from None
    return Restored(home, examined.manifest, content.agents, _moved(examined, home))


def _reason(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def _examined(file: Path, source: BinaryIO) -> Examined:
    try:
        return examine(source)
    except HiveError as error:
        raise type(error)(f"{file} cannot be restored: {error.message}.", code=error.code) from None


def _moved(examined: Examined, home: Path) -> bool:
    return examined.manifest.home != str(home)


def _place(
    source: BinaryIO, file: Path, home: Path, examined: Examined, progress: Callable[[str], None]
) -> Content:
    """Unpack beside what is to be, make the database fit, and move all of it to its place."""
    draft = home / UNDER_WAY
    placed: list[Path] = []
    try:
        draft.mkdir(mode=0o700)
        unpacking = _Unpacking(draft=draft, manifest=examined.manifest, progress=progress)
        with reading(source) as (tar, plain):
            unpacking.unpack(tar, plain, generations=not _moved(examined, home))
        content = detach(draft / DATABASE)
        unpacking.settle()
        os.sync()
        for path in sorted(draft.iterdir(), key=lambda path: path.name == DATABASE):
            placed.append(home / path.name)  # first: a signal may be heard right behind the rename
            path.rename(placed[-1])
        draft.rmdir()
    except BaseException as error:
        for path in (*placed, draft):  # the draft last: it tells that the rest is half made
            remove_tree(path)  # with the modes that agents gave their folders
        if isinstance(error, HiveError):
            raise type(error)(f"{file} cannot be restored: {error.message}", code=error.code) from None
        raise
    return content


@dataclass(slots=True)
class _Unpacking:
    """One backup on its way into a folder that is only ours."""

    draft: Path
    manifest: Manifest
    progress: Callable[[str], None]
    modes: list[tuple[str, int, float]] = field(default_factory=list)

    def unpack(self, tar: tarfile.TarFile, plain: Metered, *, generations: bool) -> None:
        """Unpack all members; without ``generations`` those are left to be built anew."""
        tar.next()
        for member in members(tar, plain):
            parts = member.name.split("/")
            if parts[0] == "agents" and len(parts) == 2:
                self.progress(parts[1])
            if generations or parts[2:3] != ["generations"]:
                self._put(tar, member, parts)

    def settle(self) -> None:
        """Give the folders their modes: one that may not be written to can neither be filled nor removed."""
        for path, mode, mtime in reversed(self.modes):
            with self._opened(path.split("/")) as folder:
                os.fchmod(folder, mode)
                os.utime(folder, (mtime, mtime))

    def _put(self, tar: tarfile.TarFile, member: tarfile.TarInfo, parts: list[str]) -> None:
        """Put one member into its folder."""
        try:
            with self._opened(parts[:-1]) as folder:
                self._make(tar, member, parts[-1], folder)
        except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
            raise _misplaced(member, error) from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise _misplaced(member, error) from None
            raise

    @contextmanager
    def _opened(self, parts: list[str]) -> Iterator[int]:
        """A folder, opened part by part: no link is followed, and what agents nest is longer than a path may be."""
        folder = os.open(self.draft, _FOLDER)
        try:
            for part in parts:
                outer, folder = folder, os.open(part, _FOLDER, dir_fd=folder)
                os.close(outer)
            yield folder
        finally:
            os.close(folder)

    def _make(self, tar: tarfile.TarFile, member: tarfile.TarInfo, name: str, folder: int) -> None:
        mode, mtime = member.mode & 0o777, min(max(member.mtime, 0), _LATEST)
        if kind(member) == "folder":
            os.mkdir(name, 0o700, dir_fd=folder)
            self.modes.append((member.name, mode | 0o700 if member.name.count("/") < 3 else mode, mtime))
        elif kind(member) == "link":
            os.symlink(member.linkname, name, dir_fd=folder)
        else:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(name, flags, 0o600, dir_fd=folder)
            with os.fdopen(fd, "wb") as target:
                content = tar.extractfile(member)
                while content is not None and (chunk := content.read(_CHUNK)):
                    target.write(chunk)
                target.flush()
                os.fchmod(fd, mode)
                os.utime(fd, (mtime, mtime))
        if os.geteuid() == 0 and member.uid != self.manifest.uid:
            os.chown(name, member.uid, member.gid, dir_fd=folder, follow_symlinks=False)


def _misplaced(member: tarfile.TarInfo, error: OSError) -> Refused:
    return Refused(f"{member.name[:200]!r} in it has no place ({error.strerror}).", code="bad-member")

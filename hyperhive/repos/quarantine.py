"""Objects of a repository that git never opens: copied file by file, within bounds, and believed only when they
are what their names say."""

import os
import re
import shutil
import stat
import zlib
from hashlib import sha1
from pathlib import Path
from types import TracebackType
from typing import Self

from hyperhive.errors import Broken, Refused
from hyperhive.repos import files
from hyperhive.repos.git import Git, GitFailed, TooSlow

MAX_OBJECT = 1024 * 1024
"""Bytes of one object, unpacked: a file, or a folder's list."""
MAX_OBJECTS = 20_000
"""Objects that are new, loose or packed."""
MAX_LOOSE = 32 * 1024 * 1024
"""Bytes of loose objects, as stored."""
MAX_PACKS = 64 * 1024 * 1024
"""Bytes of packs."""
MAX_PACK_FILES = 100
MAX_UNPACKED = 256 * 1024 * 1024
"""Bytes of loose objects, unpacked."""

_FAN = re.compile(r"[0-9a-f]{2}")
_LOOSE = re.compile(r"[0-9a-f]{38}")
_PACK = re.compile(r"pack-[0-9a-f]{40}\.pack")
_HEADER = re.compile(rb"(blob|tree|commit|tag) (0|[1-9][0-9]{0,17})\0")
_MAX_ENTRIES = 100_000


class Quarantine:
    """Copies of a proposer's objects, in a folder of ours, until the end of the block.

    Args:
        folder: where; whatever is there goes.
        own: the object folder of ``applied/``; what it has is not copied, and can be read through ``objects``.
    """

    def __init__(self, *, folder: Path, own: Path) -> None:
        self._folder = folder
        self._own = own
        self.objects = folder / "objects"
        self.oversize: dict[str, int] = {}
        self._count = 0
        self._stored = 0
        self._packed = 0
        self._unpacked = 0
        self._entries = 0

    def __enter__(self) -> Self:
        files.remove(self._folder)
        try:
            (self.objects / "pack").mkdir(mode=0o700, parents=True)
            (self.objects / "info").mkdir(mode=0o700)
            (self.objects / "info" / "alternates").write_text(f"{self._own}\n")
        except OSError as error:
            raise Broken(f"{self._folder} cannot be written: {error.strerror}; make room there.") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def fill(self, proposed: Path, git: Git) -> None:
        """Copy the objects of the repository in ``proposed``.

        Args:
            git: ours, with the quarantine as its object folder; it lists what packs hold.

        Raises:
            Refused: there is no ordinary repository, or it is beyond the bounds, or an object is not sound.
            TooSlow: its packs take too long to unpack.
            Broken: the disk refuses.
        """
        at = _open_objects(proposed)
        try:
            # Loose first: what is packed meanwhile is found there afterwards.
            for fan in self._names(at, _FAN):
                self._copy_fan(at, fan)
            packs = self._copy_packs(at)
        except OSError as error:
            raise Refused(
                f"proposed/.git/objects cannot be read: {error.strerror}; check its permissions.",
                code="bad-repository",
            ) from None
        finally:
            os.close(at)
        for pack in packs:
            self._index(pack, git)

    def _names(self, at: int, pattern: re.Pattern[str]) -> list[str]:
        found = []
        with os.scandir(at) as entries:
            for entry in entries:
                self._entries += 1
                if self._entries > _MAX_ENTRIES:
                    raise _beyond(f"more than {_MAX_ENTRIES} files in proposed/.git/objects")
                if pattern.fullmatch(entry.name):
                    found.append(entry.name)
        return sorted(found)

    def _copy_fan(self, objects: int, fan: str) -> None:
        try:
            at = files.open_folder(fan, at=objects)
        except FileNotFoundError:
            return
        except OSError:
            raise _odd(f"proposed/.git/objects/{fan}", "folder") from None
        try:
            own = _listed(self._own / fan)
            names = [rest for rest in self._names(at, _LOOSE) if rest not in own]
            self._count += len(names)
            if self._count > MAX_OBJECTS:
                raise _beyond(f"more than {MAX_OBJECTS} objects")
            if names:
                (self.objects / fan).mkdir(mode=0o700)
            for rest in names:
                self._copy_loose(at, fan, rest)
        finally:
            os.close(at)

    def _copy_loose(self, at: int, fan: str, rest: str) -> None:
        try:
            # More than this a sound object within MAX_OBJECT cannot take.
            stored = files.read_file(rest, MAX_OBJECT + 64 * 1024, at=at)
            if stored is None:
                info = os.stat(rest, dir_fd=at, follow_symlinks=False)
        except FileNotFoundError:
            return
        if stored is None:
            if not stat.S_ISREG(info.st_mode):
                raise _odd(f"proposed/.git/objects/{fan}/{rest}", "file")
            self.oversize[fan + rest] = info.st_size
            return
        self._stored += len(stored)
        if self._stored > MAX_LOOSE:
            raise _beyond(f"more than {MAX_LOOSE >> 20} MiB of loose objects")
        if self._sound(fan + rest, stored):
            _keep(f"{self.objects}/{fan}/{rest}", stored)

    def _sound(self, name: str, stored: bytes) -> bool:
        """Whether to take it: unpacked within bounds and not beyond, it must be what its name says."""
        unpack = zlib.decompressobj()
        try:
            begin = unpack.decompress(stored, 64)
            header = _HEADER.match(begin)
            if header is None:
                raise _unsound(name)
            size = int(header[2])
            if size > MAX_OBJECT:
                self.oversize[name] = size
                return False
            whole = begin + unpack.decompress(unpack.unconsumed_tail, size + 128)
        except zlib.error:
            raise _unsound(name) from None
        self._unpacked += len(whole)
        if self._unpacked > MAX_UNPACKED:
            raise _beyond(f"more than {MAX_UNPACKED >> 20} MiB unpacked")
        sound = unpack.eof and not unpack.unused_data and len(whole) == header.end() + size
        if not sound or sha1(whole, usedforsecurity=False).hexdigest() != name:
            raise _unsound(name)
        return True

    def _copy_packs(self, objects: int) -> list[Path]:
        try:
            at = files.open_folder("pack", at=objects)
        except FileNotFoundError:
            return []
        except OSError:
            raise _odd("proposed/.git/objects/pack", "folder") from None
        try:
            names = self._names(at, _PACK)
            if len(names) > MAX_PACK_FILES:
                raise _beyond(f"more than {MAX_PACK_FILES} packs")
            return [pack for name in names if (pack := self._copy_pack(at, name)) is not None]
        finally:
            os.close(at)

    def _copy_pack(self, at: int, name: str) -> Path | None:
        try:
            found = files.read_file(name, MAX_PACKS, at=at)
            if found is None and not stat.S_ISREG(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
                raise _odd(f"proposed/.git/objects/pack/{name}", "file")
        except FileNotFoundError:
            return None
        self._packed += MAX_PACKS + 1 if found is None else len(found)
        if found is None or self._packed > MAX_PACKS:
            raise _beyond(f"more than {MAX_PACKS >> 20} MiB of packs")
        self._count += int.from_bytes(found[8:12], "big")
        if self._count > MAX_OBJECTS:
            raise _beyond(f"more than {MAX_OBJECTS} objects")
        kept = self.objects / "pack" / name
        _keep(str(kept), found)
        return kept

    def _index(self, pack: Path, git: Git) -> None:
        try:
            git.run("index-pack", "--threads=1", str(pack))
        except TooSlow:
            raise
        except GitFailed as failure:
            git.check()
            raise Refused(
                f"proposed/.git/objects/pack/{pack.name} cannot be read ({failure.reason}); "
                "run 'git fsck' there and mend it, or clone applied/ anew.",
                code="bad-repository",
            ) from None


def _open_objects(proposed: Path) -> int:
    """A descriptor of ``.git/objects``, reached without following a link."""
    at = None
    way = ""
    for step in (proposed, ".git", "objects"):
        way = f"{way}/{step}" if way else proposed.name
        try:
            inner = files.open_folder(step, at=at)
        except FileNotFoundError:
            raise Refused(
                f"{way} is missing; it must be an ordinary git repository.", code="no-repository"
            ) from None
        except PermissionError:
            raise Refused(f"{way} cannot be read; check its permissions.", code="bad-repository") from None
        except OSError:
            raise _odd(way, "folder") from None
        finally:
            if at is not None:
                os.close(at)
        at = inner
    assert at is not None
    return at


def _listed(folder: Path) -> frozenset[str]:
    try:
        return frozenset(entry.name for entry in folder.iterdir())
    except FileNotFoundError:
        return frozenset()


def _keep(path: str, content: bytes) -> None:
    try:
        files.write_file(path, content)
    except OSError as error:
        raise Broken(f"{path} cannot be written: {error.strerror}; make room there.") from None


def _odd(place: str, kind: str) -> Refused:
    return Refused(
        f"{place} is no ordinary {kind} (links, worktrees and the like are not followed); "
        "make proposed/ an ordinary repository again.",
        code="bad-repository",
    )


def _unsound(name: str) -> Refused:
    return Refused(
        f"Object {name} in proposed/.git is corrupt; run 'git fsck' there and mend it, or clone applied/ anew.",
        code="bad-repository",
    )


def _beyond(what: str) -> Refused:
    return Refused(
        f"The repository in proposed/ is too large: {what}; a config needs little, begin from a smaller history.",
        code="too-large",
    )

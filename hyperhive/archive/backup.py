"""Makes a backup: the database at one moment, then everything that may be ahead of it."""

import io
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from hyperhive import __version__
from hyperhive.archive.check import examine
from hyperhive.archive.drafts import drafting
from hyperhive.archive.manifest import (
    DATABASE,
    FIRST,
    FORMAT,
    LAST,
    LOGIN,
    SECRETS,
    End,
    Manifest,
)
from hyperhive.archive.walk import Entry, LeftOut, Walk
from hyperhive.domain.names import check_name
from hyperhive.domain.value import Value
from hyperhive.errors import Broken, HiveError, Refused
from hyperhive.store.copies import copy

_LEVEL = 3
"""Of compression: the levels above take three times as long for a tenth less."""
_FOLDERS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made: its agents, its size, and what is not in it."""

    file: Path
    bytes: int
    agents: tuple[str, ...]
    logins: tuple[str, ...]
    left_out: LeftOut
    secrets: bool


def back_up(
    home: Path, file: Path, *, secrets: bool = False, progress: Callable[[str], None] = lambda text: None
) -> Made:
    """Write the hive in ``home`` to ``file``, beside a daemon that runs or without one.

    Args:
        secrets: take tokens, logins and environments along.
        progress: told what is being written.

    Raises:
        Refused: ``file`` exists or is in the home, or there is no hive of this user's.
        Broken: something failed; nothing is left at ``file``.
    """
    try:
        _check(home, file)
        with _private(), drafting(file.parent) as folder:
            draft, database = folder / "draft", folder / DATABASE
            progress("database")
            content = copy(home / DATABASE, database)
            writing = _Writing(home=home, secrets=secrets, progress=progress)
            writing.write(draft, database)
            progress("reading it back")
            with draft.open("rb") as written:
                examine(written)
            _publish(draft, file)
    except OSError as error:
        raise Broken(f"{file} cannot be written: {error.strerror or error}; choose another place.") from None
    logins = tuple(writing.logins)
    return Made(file, file.stat().st_size, content.agents, logins, writing.left_out, secrets)


def _check(home: Path, file: Path) -> None:
    try:
        found = (home / DATABASE).stat()
    except PermissionError:
        raise Refused(
            f"{home} may not be read by this user; run this as the hive's user.", code="not-ours"
        ) from None
    except OSError:
        found = None
    if found is None or not stat.S_ISREG(found.st_mode):
        raise Refused(f"There is no hive in {home}; name its home with --home.", code="no-hive")
    owner = found.st_uid
    if owner != os.geteuid():
        raise Refused(
            f"The hive in {home} belongs to uid {owner}; run this as that user, or its files would change hands.",
            code="not-ours",
        )
    if os.path.lexists(file):
        raise Refused(f"{file} is there already; choose another name, or move it away.", code="exists")
    if not file.parent.is_dir():
        raise Refused(f"There is no folder {file.parent}; make it first.", code="no-folder")
    if file.parent.resolve().is_relative_to(home.resolve()):
        raise Refused(f"{file} is inside the hive's home and would be lost with it; choose another place.")


@contextmanager
def _private() -> Iterator[None]:
    """Nothing that is made meanwhile is for others."""
    mask = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(mask)


def _publish(draft: Path, file: Path) -> None:
    """Give a whole file its name, unless somebody has taken that meanwhile."""
    try:
        os.link(draft, file)
    except OSError as error:
        # A disk that has no links says another thing, also where the name is taken.
        if isinstance(error, FileExistsError) or os.path.lexists(file):
            raise Refused(f"{file} is there already; choose another name.", code="exists") from None
        draft.rename(file)
    with suppress(OSError):
        folder = os.open(file.parent, _FOLDERS)
        os.fsync(folder)
        os.close(folder)


@dataclass(slots=True)
class _Writing:
    """One backup under way."""

    home: Path
    secrets: bool
    progress: Callable[[str], None]
    left_out: LeftOut = field(default_factory=LeftOut)
    logins: list[str] = field(default_factory=list)
    entries: int = 0

    def write(self, draft: Path, database: Path) -> None:
        """Write everything into ``draft``, which must not be there."""
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            with tarfile.open(
                fileobj=file, mode="w:gz", format=tarfile.PAX_FORMAT, compresslevel=_LEVEL
            ) as tar:
                self._text(tar, FIRST, self._manifest())
                with database.open("rb") as content:
                    self._add(tar, Entry(DATABASE, os.fstat(content.fileno()), file=content))
                for entry in self._found():
                    self._add(tar, entry)
                self._text(tar, LAST, End(entries=self.entries))
            file.flush()
            os.fsync(file.fileno())

    def _manifest(self) -> Manifest:
        return Manifest(
            format=FORMAT,
            version=__version__,
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            home=str(self.home),
            uid=os.geteuid(),
            secrets=self.secrets,
        )

    def _found(self) -> Iterator[Entry]:
        walk = Walk(skip=self._skipped, left_out=self.left_out)
        for name in ("hyperhive.toml", "operator.token"):
            with suppress(FileNotFoundError):
                if not self._skipped(name):
                    with (self.home / name).open("rb") as file:
                        yield Entry(name, os.fstat(file.fileno()), file=file)
        for name in ("environments", "agents"):
            if self._skipped(name) or not (self.home / name).is_dir():
                continue
            folder = os.open(self.home / name, _FOLDERS)  # may be a link of the operator's
            try:
                yield Entry(name, os.fstat(folder))
                yield from walk.below(folder, name)
            finally:
                os.close(folder)

    def _skipped(self, path: str) -> bool:
        top, *rest = path.split("/")
        if top in SECRETS:
            return not self.secrets
        if len(rest) == 1:
            return not _is_name(rest[0])
        if len(rest) == 2:
            # A container's notes tell of processes of today, and a log of what they said.
            return rest[1] == "container"
        if len(rest) == 3 and rest[1:] == ["claude", LOGIN]:
            self.logins.append(rest[0])
            return not self.secrets
        return False

    def _add(self, tar: tarfile.TarFile, entry: Entry) -> None:
        parts = entry.path.split("/")
        if parts[0] == "agents" and len(parts) == 2:
            self.progress(parts[1])
        member = tarfile.TarInfo(entry.path)
        member.mode = entry.info.st_mode & 0o777
        member.uid, member.gid = entry.info.st_uid, entry.info.st_gid
        member.mtime = entry.info.st_mtime
        if entry.file is not None:
            member.size = entry.info.st_size
            tar.addfile(member, _Exactly(entry.file, member.size))
        elif entry.target:
            member.type, member.linkname = tarfile.SYMTYPE, entry.target
            tar.addfile(member)
        else:
            member.type = tarfile.DIRTYPE
            tar.addfile(member)
        self.entries += 1
        tar.members.clear()  # type: ignore[attr-defined]  # it would keep all of them

    def _text(self, tar: tarfile.TarFile, name: str, value: Value) -> None:
        content = value.model_dump_json(indent=2).encode()
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o600
        tar.addfile(member, io.BytesIO(content))


class _Exactly(io.RawIOBase):
    """As many bytes as were promised: of a file that grows the first ones, of one that shrinks zeros at the end."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__()
        self._file = file
        self._left = size

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        wanted = self._left if size < 0 else min(size, self._left)
        found = self._file.read(wanted)
        self._left -= wanted
        return found + bytes(wanted - len(found))


def _is_name(name: str) -> bool:
    try:
        check_name(name)
    except HiveError:
        return False
    return True

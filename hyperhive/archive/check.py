"""Looks through a backup from its first byte to its last, before anything relies on it."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Literal

from pydantic import ValidationError

from hyperhive.archive.manifest import DATABASE, FIRST, LAST, End, Manifest, check_member, read_manifest
from hyperhive.errors import Broken

_SHORT = 65_536
_CHUNK = 1 << 20
_HEAD = 256 * 1024
"""Bytes that may stand before a member's content. The deepest path that is taken along fits in 32 KiB."""


_UNREADABLE = (
    tarfile.TarError,
    gzip.BadGzipFile,
    EOFError,
    zlib.error,
    ValueError,
    OverflowError,
    RecursionError,  # heads in front of heads
)


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found: the manifest, and how many bytes and entries there are to restore."""

    manifest: Manifest
    bytes: int
    entries: int


def examine(file: BinaryIO) -> Examined:
    """Read a whole backup.

    Raises:
        Broken: it is none, damaged, cut short, or holds what no backup of ours does; the message is the reason.
        Refused: it is of a later format.
    """
    with reading(file) as (tar, plain):
        first = tar.next()  # it has been read with the opening
        plain.allow(None)
        manifest = read_manifest(_text(tar, first, FIRST))
        size = entries = 0
        for member in members(tar, plain):
            if entries == 0 and member.name != DATABASE:
                raise Broken("it holds no database", code="no-backup")
            size += member.size
            entries += 1
            _read_through(tar, member)
        while plain.read(_CHUNK):  # its sum is behind its last byte
            pass
        return Examined(manifest, size, entries)


@contextmanager
def reading(file: BinaryIO) -> Iterator[tuple[tarfile.TarFile, "Metered"]]:
    """The backup in ``file`` from its beginning, and the stream it is in; what is wrong with it is told in words.

    Raises:
        Broken: it cannot be read on.
    """
    file.seek(0)
    try:
        with gzip.GzipFile(fileobj=file) as stream:
            plain = Metered(stream)
            with tarfile.open(fileobj=plain, mode="r|") as tar:
                yield tar, plain
    except _UNREADABLE as error:
        raise Broken(f"it is no backup, or damaged or cut short ({error})", code="damaged") from None


class Metered(io.RawIOBase):
    """A stream of which no more is read than may be: ``tarfile`` keeps a member's whole head in memory.

    Raises:
        Broken: more was wanted.
    """

    def __init__(self, stream: gzip.GzipFile) -> None:
        super().__init__()
        self._stream = stream
        self._left: int | None = _HEAD

    def allow(self, left: int | None) -> None:
        """From now on so many bytes may be read; ``None``: any number."""
        self._left = left

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        found = self._stream.read(size)
        if self._left is not None:
            self._left -= len(found)
            if self._left < 0:
                raise Broken(f"a member's head in it is longer than {_HEAD >> 10} KiB", code="damaged")
        return found


def _next(tar: tarfile.TarFile, plain: Metered) -> tarfile.TarInfo | None:
    unread = tar.offset - tar.fileobj.tell() if tar.fileobj is not None else 0
    plain.allow(max(unread, 0) + _HEAD)
    member = tar.next()
    plain.allow(None)
    if tar.pax_headers:  # they are for all members behind them, and would be kept
        raise Broken("it has a head for all its members", code="damaged")
    return member


def members(tar: tarfile.TarFile, plain: Metered) -> Iterator[tarfile.TarInfo]:
    """The members behind the first, each one checked, up to the last.

    Raises:
        Broken: one has no place in a backup, or the last is missing.
    """
    count = 0
    while (member := _next(tar, plain)) is not None:
        tar.members.clear()  # type: ignore[attr-defined]  # it would keep all of them
        if member.name == LAST:
            _check_end(_text(tar, member, LAST), count)
            return
        check_member(member.name, kind(member))
        count += 1
        yield member
    raise Broken("it is cut short", code="damaged")


def kind(member: tarfile.TarInfo) -> Literal["folder", "file", "link", "other"]:
    """What a member is; hard links, devices, files with holes (of any size) and all else count as other."""
    if member.issparse():
        return "other"
    if member.isdir():
        return "folder"
    if member.issym():
        return "link"
    return "file" if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) else "other"


def _check_end(text: bytes, count: int) -> None:
    try:
        end = End.model_validate_json(text)
    except ValidationError:
        raise Broken("its last member is none of hyperhive's", code="damaged") from None
    if end.entries != count:
        raise Broken(f"{end.entries} entries were written, {count} are there", code="damaged")


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo | None, name: str) -> bytes:
    if member is None or member.name != name or kind(member) != "file" or member.size > _SHORT:
        raise Broken("it is no backup of a hive", code="no-backup")
    content = tar.extractfile(member)
    return content.read() if content is not None else b""


def _read_through(tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    content = tar.extractfile(member) if member.isreg() else None
    while content is not None and content.read(_CHUNK):
        pass

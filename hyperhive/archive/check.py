"""Looks through a backup from its first byte to its last, before anything relies on it."""

import gzip
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
        first = tar.next()
        manifest = read_manifest(_text(tar, first, FIRST))
        size = entries = 0
        for member in members(tar):
            if entries == 0 and member.name != DATABASE:
                raise Broken("it holds no database", code="no-backup")
            size += member.size
            entries += 1
            _read_through(tar, member)
        while plain.read(_CHUNK):  # its sum is behind its last byte
            pass
        return Examined(manifest, size, entries)


@contextmanager
def reading(file: BinaryIO) -> Iterator[tuple[tarfile.TarFile, gzip.GzipFile]]:
    """The backup in ``file`` from its beginning, and the stream it is in; what is wrong with it is told in words.

    Raises:
        Broken: it cannot be read on.
    """
    file.seek(0)
    try:
        with gzip.GzipFile(fileobj=file) as plain, tarfile.open(fileobj=plain, mode="r|") as tar:
            yield tar, plain
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise Broken(f"it is no backup, or damaged or cut short ({error})", code="damaged") from None


def members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members behind the first, each one checked, up to the last.

    Raises:
        Broken: one has no place in a backup, or the last is missing.
    """
    count = 0
    while (member := tar.next()) is not None:
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

"""Refs of an applied repository: read as files, written in one transaction."""

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from hyperhive.errors import Broken, Invalid
from hyperhive.repos import files
from hyperhive.repos.git import Git, GitFailed
from hyperhive.repos.values import Tag

MAIN = "refs/heads/main"
FIRST = "refs/hyperhive/first"
PINS = "refs/hyperhive/pins"

_SHA = re.compile(r"[0-9a-f]{40}")
_PREFIX = re.compile(r"[0-9a-fA-F]{7,40}")
_TAG = re.compile(r"[a-z][a-z-]{0,30}/[0-9]{1,18}")
_MAX_REF = 1024
_MAX_PACKED = 64 * 1024 * 1024
_MAX_MESSAGE = 8 * 1024
_LATEST = 253_402_300_799
"""The last second of year 9999."""
_NOBODY = "hyperhive"


def check_ref(ref: str) -> str:
    """Hex digits of a commit, in lower case.

    Raises:
        Invalid: anything else: a branch, a range, an option.
    """
    if not isinstance(ref, str) or _PREFIX.fullmatch(ref) is None:
        raise Invalid(
            f"{ascii(ref)[:60]} is no commit: a branch or tag can move after it was approved; "
            "give 7 to 40 hex digits, as 'git rev-parse HEAD' prints them.",
            code="bad-commit",
        )
    return ref.lower()


def check_sha(sha: str) -> str:
    """A whole commit name.

    Raises:
        Invalid: it is none.
    """
    if not isinstance(sha, str) or _SHA.fullmatch(sha) is None:
        raise Invalid(f"{ascii(sha)[:60]} is no whole commit name; give 40 hex digits.", code="bad-commit")
    return sha


def read_ref(git: Path, ref: str) -> str | None:
    """Where a ref points; ``None``: nowhere yet.

    Raises:
        Broken: the repository cannot be read.
    """
    try:
        try:
            raw = files.read_file(git / ref, _MAX_REF)
        except FileNotFoundError:
            return _read_packed(git / "packed-refs", ref)
    except OSError as error:
        raise Broken(f"{git / ref} cannot be read: {error.strerror}.") from None
    sha = (raw or b"").decode(errors="replace").strip()
    if _SHA.fullmatch(sha) is None:
        raise Broken(f"{git / ref} holds no commit; restore it, e.g. from the newest deployed/ tag.")
    return sha


def _read_packed(path: Path, ref: str) -> str | None:
    try:
        raw = files.read_file(path, _MAX_PACKED)
    except FileNotFoundError:
        return None
    wanted = f" {ref}".encode()
    for line in (raw or b"").split(b"\n"):
        if line.endswith(wanted) and len(line) == 40 + len(wanted):
            return line[:40].decode()
    return None


def read_tags(git: Path, names: Iterable[str]) -> dict[str, str]:
    """Those of these tags that are there, and the objects they point to. Starts no process.

    Raises:
        Broken: the repository cannot be read.
    """
    found, absent = {}, []
    for name in names:
        try:
            found[name] = (files.read_file(git / "refs/tags" / name, _MAX_REF) or b"").decode().strip()
        except FileNotFoundError:
            absent.append(name)
        except (OSError, ValueError) as error:
            raise Broken(f"{git / 'refs/tags' / name} cannot be read: {error}.") from None
    try:
        raw = files.read_file(git / "packed-refs", _MAX_PACKED) or b""
    except FileNotFoundError:
        return found
    except OSError as error:
        raise Broken(f"{git / 'packed-refs'} cannot be read: {error.strerror}.") from None
    packed = dict(
        line.decode(errors="replace").split(" ", 1)[::-1] for line in raw.splitlines() if b" " in line
    )
    places = {name: packed.get(f"refs/tags/{name}") for name in absent}
    return found | {name: oid for name, oid in places.items() if oid is not None}


def may_hold(git: Path, sha: str) -> bool:
    """Whether a repository may have an object: as a file, or in a pack that is not looked into."""
    return (git / "objects" / sha[:2] / sha[2:]).exists() or any((git / "objects/pack").glob("*.idx"))


class Transaction:
    """Changes of refs, together or not at all. Making what is there and dropping what is not is no error."""

    def __init__(self, *, git: Git, folder: Path) -> None:
        self._git = git
        self._folder = folder
        self._lines: list[str] = []

    def move(self, ref: str, sha: str, *, old: str | None = None) -> None:
        """Point a ref to a commit; ``old``: only if it points there now."""
        self._lines.append(f"update {ref} {sha}" + (f" {old}" if old is not None else ""))

    def remove(self, ref: str, *, old: str) -> None:
        """Remove a ref that points to ``old``."""
        self._lines.append(f"delete {ref} {old}")

    def drop(self, tag: str) -> None:
        """Remove a tag."""
        self._lines.append(f"delete refs/tags/{_check_tag(tag)}")

    def make(self, tag: str, value: Tag) -> None:
        """Make a tag, annotated when it has a message. The same value gives the same tag."""
        target = self._annotate(tag, value) if value.message else check_sha(value.sha)
        self._lines.append(f"update refs/tags/{_check_tag(tag)} {target}")

    def tags(self, make: Mapping[str, Tag], drop: Iterable[str]) -> None:
        """Make these tags and drop those; one that is in both is made."""
        for tag in drop:
            if tag not in make:
                self.drop(tag)
        for tag, value in make.items():
            self.make(tag, value)

    def commit(self) -> None:
        """Carry them out.

        Raises:
            Broken: git refuses; nothing was changed.
        """
        if not self._lines:
            return
        data = "".join(f"{line}\n" for line in self._lines).encode()
        try:
            try:
                self._git.run("update-ref", "--stdin", data=data)
            except GitFailed:
                # A daemon that was killed leaves its locks. Only we write here, so they are nobody's.
                if not remove_locks(self._folder):
                    raise
                self._git.run("update-ref", "--stdin", data=data)
        except GitFailed as failure:
            raise Broken(f"The tags in {self._folder} cannot be written: {failure.reason}.") from None

    def _annotate(self, tag: str, value: Tag) -> str:
        when = value.when or self._date(value.sha)
        by = "".join(char for char in value.by if char.isprintable() and char not in "<>").strip() or _NOBODY
        message = (
            value.message.replace("\0", "").encode(errors="replace")[:_MAX_MESSAGE].decode(errors="ignore")
        )
        content = (
            f"object {check_sha(value.sha)}\ntype commit\ntag {_check_tag(tag)}\n"
            f"tagger {by} <{_NOBODY}@localhost> {max(0, int(when.timestamp()))} +0000\n\n{message.strip()}\n"
        )
        try:
            return (
                self._git.run("hash-object", "-t", "tag", "-w", "--stdin", data=content.encode())
                .decode()
                .strip()
            )
        except GitFailed as failure:
            raise Broken(f"Tag {tag} in {self._folder} cannot be written: {failure.reason}.") from None

    def _date(self, sha: str) -> datetime:
        try:
            raw = self._git.run("rev-list", "-1", "--format=%ct", check_sha(sha))
            # Whoever made the commit wrote its date, too: any number.
            return datetime.fromtimestamp(min(max(0, int(raw.split()[-1])), _LATEST), UTC)
        except (GitFailed, ValueError, IndexError) as error:
            raise Broken(f"Commit {sha} in {self._folder} cannot be read: {error}.") from None


def _check_tag(tag: str) -> str:
    if _TAG.fullmatch(tag) is None:
        raise Invalid(f"{ascii(tag)[:60]} is no tag of an approval.", code="bad-tag")
    return tag


def remove_locks(git: Path) -> bool:
    """Remove locks that a killed git left; whether there were any."""
    places: list[Iterable[Path]] = [git.glob("*.lock")]
    places += [(git / "refs").rglob("*.lock")]
    found = [path for place in places for path in place]
    for path in found:
        with contextlib.suppress(OSError):
            path.unlink()
    return bool(found)


def sweep(git: Path) -> None:
    """Remove what a killed daemon left at the top of a repository, without a process."""
    with os.scandir(git) as entries:
        left = [entry.path for entry in entries if entry.name.endswith((".lock", ".tmp"))]
    for path in left:
        files.remove(Path(path))


def tag_values(make: Mapping[str, Tag]) -> None:
    """Check the names and commits of tags before anything is written.

    Raises:
        Invalid: one of them is none.
    """
    for tag, value in make.items():
        _check_tag(tag)
        check_sha(value.sha)

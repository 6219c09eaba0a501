"""The two repositories of a new agent, kept in memory and written out without running anything.

Both begin with the same first commit, which is the same on every host: its content, author and date are fixed.
"""

import contextlib
import hashlib
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

from hyperhive.domain.agent_config import DEFAULT
from hyperhive.repos import files

CONFIG_FILE = "agent.toml"
_WHO = b"hyperhive <hyperhive@localhost> 1767225600 +0000"
_SUBJECT = b"Begin with the first config\n"

_CORE = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tlogallrefupdates = true
"""
_PROPOSED = """\
[user]
\tname = manager
\temail = manager@localhost
[receive]
\tdenyCurrentBranch = updateInstead
[remote "applied"]
\turl = ../applied
\tfetch = +refs/heads/*:refs/remotes/applied/*
\tfetch = +refs/tags/*:refs/tags/*
"""
# A file is what its bytes are, on every way between tree, folder and diff.
_ATTRIBUTES = b"* -text -eol -filter -ident -working-tree-encoding !diff !merge\n"


def _object(kind: bytes, body: bytes) -> tuple[str, bytes]:
    """Name and content of a loose object's file."""
    whole = kind + b" %d\0" % len(body) + body
    return hashlib.sha1(whole, usedforsecurity=False).hexdigest(), zlib.compress(whole, 1)


def _index(blob: str, name: bytes) -> bytes:
    """An index with one file. Its times are nought, so git looks at the file itself."""
    entry = bytes(24) + (0o100644).to_bytes(4, "big") + bytes(12)
    entry += bytes.fromhex(blob) + len(name).to_bytes(2, "big") + name
    entry += bytes(8 - len(entry) % 8)
    body = b"DIRC" + (2).to_bytes(4, "big") + (1).to_bytes(4, "big") + entry
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


class Skeleton:
    """What a new agent's repositories hold. ``first``: the commit both begin with."""

    def __init__(self) -> None:
        self._default = DEFAULT.encode()
        blob, stored_blob = _object(b"blob", self._default)
        tree, stored_tree = _object(b"tree", b"100644 agent.toml\0" + bytes.fromhex(blob))
        commit = b"tree %s\nauthor %s\ncommitter %s\n\n%s" % (tree.encode(), _WHO, _WHO, _SUBJECT)
        self.first, stored_commit = _object(b"commit", commit)
        stored = {blob: stored_blob, tree: stored_tree, self.first: stored_commit}
        self._objects = {f"objects/{sha[:2]}/{sha[2:]}": content for sha, content in stored.items()}
        self._blob = blob
        common = {"HEAD": b"ref: refs/heads/main\n", "info/attributes": _ATTRIBUTES, **self._objects}
        self._applied = {**common, "config": _CORE.encode()}
        self._proposed = {
            **common,
            "config": (_CORE + _PROPOSED).encode(),
            "index": _index(blob, CONFIG_FILE.encode()),
            "refs/heads/main": f"{self.first}\n".encode(),
        }

    def applied(self, folder: Path, scratch: Path) -> None:
        """Make ``folder`` a repository whose ``main`` has no commit yet; files in it stay.

        Args:
            scratch: a path beside ``folder`` that is ours alone.

        Raises:
            OSError: the disk refuses.
        """
        folder.mkdir(mode=0o700, exist_ok=True)
        _make(scratch, self._applied)
        scratch.rename(folder / ".git")

    def proposed(self, folder: Path, scratch: Path) -> None:
        """Make ``folder`` a repository with the first commit checked out; files in it stay."""
        folder.mkdir(mode=0o700, exist_ok=True)
        _make(scratch, self._proposed)
        # It is another's folder: what is there by now may be a link.
        at = files.open_folder(folder)
        try:
            with contextlib.suppress(FileExistsError):
                files.write_file(CONFIG_FILE, self._default, at=at)
            os.rename(scratch, ".git", dst_dir_fd=at)
        finally:
            os.close(at)

    def allow_first(self, git: Path) -> None:
        """Mark in an applied repository that its agent may be built from the first commit."""
        for place, content in self._objects.items():
            _complete(git, place, content)
        _complete(git, "refs/hyperhive/first", f"{self.first}\n".encode())

    def begin(self, git: Path) -> None:
        """Let ``main`` of an applied repository begin with the first commit, its files as they are beside it."""
        _complete(git, "index", _index(self._blob, CONFIG_FILE.encode()))
        _complete(git, "hyperhive-checkout", f"{self.first}\n".encode())
        _complete(git, "refs/heads/main", f"{self.first}\n".encode(), durable=True)


def _make(scratch: Path, content: Mapping[str, bytes]) -> None:
    files.remove(scratch)
    made = {"objects/pack", "refs/heads", "refs/tags"} | {str(Path(place).parent) for place in content}
    scratch.mkdir(mode=0o700)
    known = {"."}
    for folder in sorted(made):
        parts = folder.split("/")
        for depth in range(1, len(parts) + 1):
            step = "/".join(parts[:depth])
            if step not in known:
                known.add(step)
                (scratch / step).mkdir(0o700)
    base = str(scratch)
    for place, data in content.items():
        files.write_file(f"{base}/{place}", data)


def _complete(git: Path, place: str, content: bytes, *, durable: bool = False) -> None:
    """Write a file whole where it is missing; ``durable``: whole after a power loss, too."""
    path = git / place
    if path.exists() and path.stat().st_size:
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = git / "hyperhive.tmp"
    files.remove(draft)
    files.write_file(draft, content, durable=durable)
    draft.rename(path)

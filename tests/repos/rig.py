"""A proposer with real git, and objects that no git would make."""

import hashlib
import os
import subprocess
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hyperhive.repos.repositories import Repositories

NAME = "alice"
WHO = b"m <m@localhost> 1767225600 +0000"
CONFIG = b'model = "opus"\n'


def run_git(
    folder: Path, *arguments: str, data: bytes = b"", environment: Mapping[str, str] | None = None
) -> str:
    """What git says, as somebody with nothing configured runs it."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        input=data,
        capture_output=True,
        check=True,
        timeout=60,
        env={
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            **(environment or {}),
        },
    )
    return done.stdout.decode(errors="replace").strip()


@dataclass(frozen=True, slots=True)
class Proposer:
    """Who writes in ``proposed/``."""

    folder: Path

    def git(self, *arguments: str, data: bytes = b"") -> str:
        """Run git there."""
        return run_git(self.folder, *arguments, data=data)

    def commit(self, files: Mapping[str, bytes | None], message: str = "Change it") -> str:
        """Write files (``None``: remove), commit all; its sha."""
        for path, content in files.items():
            target = self.folder / path
            if content is None:
                target.unlink()
                for folder in target.parents:
                    if folder == self.folder or any(folder.iterdir()):
                        break
                    folder.rmdir()
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.head()

    def head(self) -> str:
        """The commit checked out."""
        return self.git("rev-parse", "HEAD")

    def path_of(self, sha: str) -> Path:
        """Where a loose object is."""
        return self.folder / ".git/objects" / sha[:2] / sha[2:]

    def store(self, kind: str, body: bytes, *, name: str | None = None) -> str:
        """Write a loose object without asking git whether it makes sense."""
        whole = f"{kind} {len(body)}\0".encode() + body
        sha = name or hashlib.sha1(whole).hexdigest()
        path = self.path_of(sha)
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(zlib.compress(whole, 1))
        return sha

    def tree(self, *entries: tuple[str, bytes, str]) -> str:
        """A tree of (mode, name, sha), in the order given."""
        return self.store("tree", b"".join(entry(*values) for values in entries))

    def commit_tree(self, tree: str, *parents: str, subject: bytes = b"odd") -> str:
        """A commit of a tree."""
        before = b"".join(b"parent %s\n" % parent.encode() for parent in parents)
        body = b"tree %s\n%sauthor %s\ncommitter %s\n\n%s\n" % (tree.encode(), before, WHO, WHO, subject)
        return self.store("commit", body)

    def commit_with(self, *entries: tuple[str, bytes, str]) -> str:
        """A commit with a sound config and odd entries beside it, sorted as git wants them."""
        config = ("100644", b"agent.toml", self.store("blob", CONFIG))
        return self.commit_tree(self.tree(*sorted([*entries, config], key=sort_key)))


def entry(mode: str, name: bytes, sha: str) -> bytes:
    """An entry of a tree."""
    return mode.encode() + b" " + name + b"\0" + bytes.fromhex(sha)


def sort_key(values: tuple[str, bytes, str]) -> bytes:
    """git sorts folders as if their names ended with a slash."""
    return values[1] + (b"/" if values[0] == "40000" else b"")


@dataclass(frozen=True, slots=True)
class Rig:
    """One agent's repositories, ours and the proposer's side of them."""

    repos: Repositories
    home: Path

    @property
    def root(self) -> Path:
        """The agent's folder."""
        return self.home / "agents" / NAME

    @property
    def applied(self) -> Path:
        """Ours."""
        return self.root / "applied"

    @property
    def proposer(self) -> Proposer:
        """Who writes in ``proposed/``."""
        return Proposer(self.root / "proposed")

    def git(self, *arguments: str) -> str:
        """Run git in ``applied/``, as the operator may."""
        return run_git(self.applied, *arguments)

    def ref(self, ref: str) -> str | None:
        """Where a ref of ``applied/`` points."""
        found = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split() for line in found).get(ref)

    def files(self) -> dict[str, bytes]:
        """The work tree of ``applied/``."""
        return {
            path.relative_to(self.applied).as_posix(): path.read_bytes()
            for path in self.applied.rglob("*")
            if path.is_file() and ".git" not in path.relative_to(self.applied).parts
        }

    def clean(self) -> bool:
        """Whether nothing is left of a pinning, and ``applied/`` is whole."""
        self.git("fsck", "--strict", "--no-dangling")
        return not (self.root / ".repos").exists() and not list((self.applied / ".git").glob("*.tmp"))

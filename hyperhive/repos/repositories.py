"""The two git repositories of each agent: ``proposed/``, which the manager writes, and ``applied/``, ours alone."""

import contextlib
import logging
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hyperhive.domain.names import OPERATOR, check_name
from hyperhive.errors import Broken, Invalid, Refused, Unknown
from hyperhive.repos import files, refs
from hyperhive.repos.git import Git, GitFailed, TooMuch, TooSlow, find_git
from hyperhive.repos.pinning import Pinning, shown, summary
from hyperhive.repos.skeleton import CONFIG_FILE, Skeleton
from hyperhive.repos.tree import PROMPT_FILE, list_tree, read_config
from hyperhive.repos.values import Commit, Pinned, Tag
from hyperhive.repos.worktree import WorkTree

log = logging.getLogger(__name__)

MAX_DIFF = 4 * 1024 * 1024
"""Bytes of a diff shown."""
CUT = "\\ The rest is cut off: this diff is longer than {} bytes."
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_NONE = "0" * 40
_LOCKS = 64
_LOCK_DEADLINE = 120.0
_DIFF = ("diff-tree", "-r", "-M", "--no-ext-diff", "--no-textconv", "--no-color")


_FIRST = f"{CONFIG_FILE}\n{PROMPT_FILE}\n".encode()
"""Nobody can push these out of a diff with what is long and sorts before them."""


@dataclass(frozen=True, slots=True)
class _Paths:
    root: Path

    @property
    def applied(self) -> Path:
        return self.root / "applied"

    @property
    def git(self) -> Path:
        return self.root / "applied" / ".git"

    @property
    def proposed(self) -> Path:
        return self.root / "proposed"

    @property
    def scratch(self) -> Path:
        return self.root / ".repos"


class Repositories:
    """All agents' config repositories. Every call blocks, within deadlines; calls from several threads are safe.

    git never opens ``proposed/``: its objects are copied and checked. Refusals (``Refused``, ``Invalid``) are the
    proposer's to mend, ``Broken`` is ours or the disk's.

    Args:
        home: the hive's home; repositories are in ``agents/<name>/`` below it.
        git: the git binary; ``None``: the one on the path.
    """

    def __init__(self, *, home: Path, git: str | None = None) -> None:
        self._home = home
        self._program = git or find_git()
        self._skeleton = Skeleton()
        self._locks = tuple(threading.RLock() for _ in range(_LOCKS))

    def prepare(self, name: str, *, first: bool) -> None:
        """Make both repositories where they are missing, and sweep what a killed daemon left.

        Args:
            first: the agent may be built from the first commit while ``main`` has none.

        Raises:
            Broken: the disk refuses. What the proposer did to a ``proposed/`` that is there is no reason.
        """
        paths = self._paths(name)
        with self._locked(name):
            try:
                paths.root.mkdir(mode=0o700, parents=True, exist_ok=True)
                files.remove(paths.scratch)
                if _made(paths.git):
                    refs.sweep(paths.git)
                else:
                    files.remove(paths.git)
                    self._skeleton.applied(paths.applied, paths.scratch)
                if first and refs.read_ref(paths.git, refs.FIRST) is None:
                    self._skeleton.allow_first(paths.git)
                self._prepare_proposed(paths)
            except OSError as error:
                raise Broken(f"{error.filename or paths.root} cannot be made: {error.strerror}.") from None
            if (sha := refs.read_ref(paths.git, refs.MAIN)) is not None:
                self._tree(paths).bring(sha)

    def _prepare_proposed(self, paths: _Paths) -> None:
        there = paths.proposed.is_dir() and not paths.proposed.is_symlink()
        try:
            if not _present(paths.proposed / ".git"):
                self._skeleton.proposed(paths.proposed, paths.scratch)
        except OSError as error:
            # Who writes there may close it; no build may depend on that.
            if not there:
                raise
            files.remove(paths.scratch)
            log.warning("%s is not made whole: %s", paths.proposed, error.strerror)

    def main(self, name: str) -> str | None:
        """The deployed commit; ``None``: none yet. Reads one file."""
        return refs.read_ref(self._paths(name).git, refs.MAIN)

    def first(self, name: str) -> str | None:
        """The first commit, if the agent may be built from it while ``main`` has none."""
        return refs.read_ref(self._paths(name).git, refs.FIRST)

    def begin(self, name: str) -> None:
        """Let ``main`` begin with the first commit, where that is allowed and it has none. Rarely starts a process.

        Raises:
            Broken: the disk refuses.
        """
        paths = self._known(name)
        with self._locked(name):
            first = self.first(name)
            if first is None or self.main(name) is not None:
                return
            if first != self._skeleton.first:  # an earlier hyperhive made it
                self.tag(name, make={}, main=first)
                return
            try:
                self._skeleton.begin(paths.git)
            except OSError as error:
                raise Broken(f"{error.filename or paths.git} cannot be written: {error.strerror}.") from None

    def pin(self, name: str, ref: str) -> Pinned:
        """Bring a commit of ``proposed/`` into ``applied/`` and keep it there.

        Args:
            ref: 7 to 40 hex digits.

        Raises:
            Refused: it is no such commit, or holds what no config may; nothing was kept.
        """
        prefix = refs.check_ref(ref)
        paths = self._known(name)
        with self._locked(name):
            return Pinning(
                program=self._program, applied=paths.applied, proposed=paths.proposed, scratch=paths.scratch
            ).pin(prefix)

    def check(self, name: str, sha: str) -> Pinned:
        """Make sure that a pinned commit is still there and its config parses.

        Raises:
            Refused: it is not, or does not any more.
        """
        git = self._git(self._known(name))
        with _here(git, sha):
            return Pinned(
                sha=refs.check_sha(sha),
                summary=summary(git, sha),
                config=read_config(git, list_tree(git, sha)),
            )

    def read(self, name: str, sha: str, path: str, limit: int) -> bytes | None:
        """A file of a commit in ``applied/``; ``None``: it has no such file.

        Raises:
            Refused: the file is longer than ``limit`` bytes, or there is no such commit.
        """
        if not path.isprintable() or {"", ".", ".."} & set(path.split("/")):
            return None
        git = self._git(self._known(name))
        with _here(git, sha):
            asked = f"{refs.check_sha(sha)}^{{commit}}\n{sha}:{path}\n".encode()
            commit, *found = (
                git.run("cat-file", "--batch-check", data=asked).decode(errors="replace").splitlines()
            )
            if commit.endswith(" missing"):
                raise GitFailed("it is not there")
            facts = found[0].split()
            if len(facts) != 3 or facts[1] != "blob":
                return None
            if int(facts[2]) > limit:
                raise Refused(
                    f"{path} in {sha[:12]} is longer than {limit} bytes; shorten it.", code="too-large"
                )
            return git.run("cat-file", "blob", facts[0], limit=limit)

    def tag(
        self,
        name: str,
        *,
        make: Mapping[str, Tag],
        drop: Iterable[str] = (),
        main: str | None = None,
        unborn: bool = False,
    ) -> None:
        """Make and drop tags, and move ``main`` with its work tree, in one transaction. Once or twice is the same.

        Args:
            make: tags by name, e.g. ``deployed/3``.
            main: where ``main`` goes; ``None``: it stays.
            unborn: ``main`` has no commit any more, for nothing is deployed; its files stay.

        Raises:
            Broken: the disk or the repository refuses; call it again.
        """
        refs.tag_values(make)
        paths = self._known(name)
        with self._locked(name):
            git = self._git(paths)
            now = refs.read_ref(paths.git, refs.MAIN)
            transaction = refs.Transaction(git=git, folder=paths.git)
            transaction.tags(make, drop)
            if main is not None and main != now:
                transaction.move(refs.MAIN, refs.check_sha(main), old=now or _NONE)
                if now is not None:  # it may be a commit by hand that nothing else reaches
                    transaction.move(f"{refs.PINS}/{now}", now)
            elif unborn and now is not None:
                transaction.remove(refs.MAIN, old=now)
            transaction.commit()
            if main is not None:
                self._tree(paths).bring(main)

    def adopt_edit(self, name: str, text: str) -> str:
        """Commit a hand-edited ``agent.toml`` on ``main`` as the operator's.

        Returns:
            The new commit; ``main`` as it is when it holds this text already.

        Raises:
            Invalid: the text is not UTF-8.
            Refused: ``main`` moved meanwhile.
        """
        paths = self._known(name)
        with self._locked(name):
            git = self._git(paths)
            now = refs.read_ref(paths.git, refs.MAIN)
            parent = now or refs.read_ref(paths.git, refs.FIRST)
            try:
                sha = _commit(git, parent, text)
            except UnicodeEncodeError:
                raise Invalid(f"{CONFIG_FILE}: not UTF-8; save it as UTF-8.", code="bad-config") from None
            except GitFailed as failure:
                raise Broken(f"The edit in {paths.applied} cannot be committed: {failure.reason}.") from None
            if sha != now:
                transaction = refs.Transaction(git=git, folder=paths.git)
                transaction.move(refs.MAIN, sha, old=now or _NONE)
                transaction.commit()
            self._tree(paths).bring(sha)
            return sha

    def diff(self, name: str, base: str | None, sha: str, *, limit_bytes: int = MAX_DIFF) -> str:
        """A unified diff of all files; a last line says so when it is cut off. What decides comes first.

        Args:
            base: compared with this commit; ``None``: with nothing.
        """
        git = self._git(self._known(name))
        ends = (_EMPTY_TREE if base is None else refs.check_sha(base), refs.check_sha(sha))
        formats = ("-p", "-O/dev/stdin", "--full-index", "--src-prefix=a/", "--dst-prefix=b/")
        with _here(git, sha):
            try:
                raw = git.run(*_DIFF, *formats, *ends, "--", data=_FIRST, limit=limit_bytes)
                return raw.decode(errors="replace")
            except TooMuch as failure:
                whole = failure.heard[:limit_bytes].decode(errors="replace").rpartition("\n")[0]
                return f"{whole}\n{CUT.format(limit_bytes)}\n"

    def stat(self, name: str, base: str | None, sha: str) -> tuple[int, int, int]:
        """How many files differ, and how many lines were added and removed."""
        git = self._git(self._known(name))
        ends = (_EMPTY_TREE if base is None else refs.check_sha(base), refs.check_sha(sha))
        with _here(git, sha):
            raw = git.run(*_DIFF, "--numstat", *ends, "--")
        rows = [line.split(b"\t")[:2] for line in raw.splitlines()]
        added, removed = (sum(int(row[side]) for row in rows if row[side].isdigit()) for side in (0, 1))
        return len(rows), added, removed

    def log(self, name: str, *, limit: int = 100) -> tuple[Commit, ...]:
        """What was deployed, newest first; empty while nothing was."""
        paths = self._known(name)
        sha = refs.read_ref(paths.git, refs.MAIN)
        if sha is None:
            return ()
        git = self._git(paths)
        with _here(git, sha):
            # A subject or name may be as long as a commit; what is cut here is filled up with spaces if short.
            form = "--format=%x00%H%x00%ct%x00%<(200,trunc)%an%x00%<(200,trunc)%s"
            raw = git.run("rev-list", f"--max-count={limit}", form, sha, "--")
        lines = raw.decode(errors="replace").split("\n")
        return tuple(_read_commit(line) for line in lines if line.startswith("\0"))

    def summary(self, name: str, sha: str) -> str:
        """A commit's subject line."""
        git = self._git(self._known(name))
        with _here(git, sha):
            return summary(git, refs.check_sha(sha))

    def _paths(self, name: str) -> _Paths:
        return _Paths(self._home / "agents" / check_name(name))

    def _known(self, name: str) -> _Paths:
        paths = self._paths(name)
        if not (paths.git / "HEAD").is_file():
            raise Unknown(
                f"'{name}' has no config repository; there is neither an agent nor a draft of that name."
            )
        return paths

    def _git(self, paths: _Paths) -> Git:
        return Git(program=self._program, folder=paths.git)

    def _tree(self, paths: _Paths) -> WorkTree:
        return WorkTree(folder=paths.applied, git=self._git(paths))

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        lock = self._locks[zlib.crc32(name.encode()) % _LOCKS]
        if not lock.acquire(timeout=_LOCK_DEADLINE):
            raise Broken(
                f"The repositories of '{name}' have been busy for too long; try again later.", code="busy"
            )
        try:
            yield
        finally:
            lock.release()


@contextlib.contextmanager
def _here(git: Git, sha: str) -> Iterator[None]:
    try:
        yield
    except TooMuch:
        raise
    except TooSlow:
        git.check()
        why = "changes too much at once to be compared in time; change less in one commit"
        raise Refused(f"Commit {ascii(sha)[1:13]} {why}.", code="too-large") from None
    except GitFailed as failure:
        git.check()
        raise Refused(
            f"Commit {ascii(sha)[1:13]} cannot be read in applied/ ({failure.reason}); submit it again.",
            code="unknown-commit",
        ) from None


def _made(git: Path) -> bool:
    """Whether a repository is there; what a power loss left of one that was just begun is none.

    Raises:
        Broken: one with a history is damaged.
    """
    head = git / "HEAD"
    if head.is_file() and head.stat().st_size:
        return True
    if (git / refs.MAIN).exists() or (git / "packed-refs").exists() or any((git / "refs/tags").glob("*")):
        raise Broken(f"{head} is lost; write 'ref: {refs.MAIN}' into it, and check with 'git fsck'.")
    return False


def _present(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def _commit(git: Git, parent: str | None, text: str) -> str:
    blob = git.run("hash-object", "-w", "--stdin", data=text.encode()).decode().strip()
    entries = git.run("ls-tree", "-z", parent).split(b"\0")[:-1] if parent else []
    name = CONFIG_FILE.encode()
    rest = [entry for entry in entries if entry.partition(b"\t")[2] != name]
    config = [entry.split()[2] for entry in entries if entry not in rest]
    if parent and config == [blob.encode()]:
        return parent
    made = b"".join(entry + b"\0" for entry in [*rest, b"100644 blob %s\t%s" % (blob.encode(), name)])
    tree = git.run("mktree", "-z", data=made).decode().strip()
    who = {f"GIT_{role}_NAME": OPERATOR for role in ("AUTHOR", "COMMITTER")}
    parents = ("-p", parent) if parent else ()
    return git.run("commit-tree", tree, *parents, "-m", "Edited by hand", environment=who).decode().strip()


def _read_commit(line: str) -> Commit:
    _, sha, seconds, author, subject = line.split("\0", 4)
    try:
        date = datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        date = datetime.fromtimestamp(0, UTC)
    return Commit(sha=sha, summary=shown(subject), author=shown(author), date=date)

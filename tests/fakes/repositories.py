"""The config repositories of a fake hive: commits as files in memory, and what differs between two of them."""

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hyperhive.domain.agent_config import DEFAULT, parse
from hyperhive.domain.diff import Change, Diff, FileDiff, Hunk, Line
from hyperhive.errors import Invalid, Refused

Files = Mapping[str, str | bytes]


@dataclass(frozen=True)
class FakeCommit:
    """A commit: all its files, by path; bytes are binary."""

    sha: str
    summary: str
    files: Files


def _sha(summary: str, files: Files, parent: str) -> str:
    return hashlib.sha1(repr((summary, sorted(files.items()), parent)).encode()).hexdigest()


def _commit(summary: str, files: Files, parent: str = "") -> FakeCommit:
    return FakeCommit(_sha(summary, files, parent), summary, dict(files))


FIRST = _commit("First config", {"agent.toml": DEFAULT})
"""The commit that every agent begins with."""


@dataclass
class FakeRepository:
    """Both repositories of one agent. ``main``: what is deployed; ``None``: nothing yet."""

    commits: dict[str, FakeCommit] = field(default_factory=lambda: {FIRST.sha: FIRST})
    head: str = FIRST.sha
    main: str | None = None

    def commit(self, files: Files, summary: str) -> str:
        """Commit to ``proposed/``: ``files`` in the place of those of their names; its sha."""
        made = _commit(summary, {**self.commits[self.head].files, **files}, self.head)
        self.commits[made.sha] = made
        self.head = made.sha
        return made.sha

    def pin(self, ref: str) -> FakeCommit:
        """The commit that ``ref`` names, its config checked.

        Raises:
            Invalid: no commit in hex, or its config is not valid.
            Refused: there is no such commit, or more than one.
        """
        if not (7 <= len(ref) <= 40 and all(char in "0123456789abcdef" for char in ref)):
            raise Invalid("Name a commit by 7 to 40 hex digits: git rev-parse HEAD.", code="bad-commit")
        found = [commit for sha, commit in self.commits.items() if sha.startswith(ref)]
        if len(found) != 1:
            raise Refused(f"There is no commit {ref} in its config repository.", code="unknown-commit")
        text = found[0].files.get("agent.toml", "")
        parse(text if isinstance(text, str) else text.decode())
        return found[0]

    def config(self, sha: str) -> str:
        """``agent.toml`` at a commit."""
        text = self.commits[sha].files.get("agent.toml", "")
        return text if isinstance(text, str) else text.decode()

    def prompt(self, sha: str) -> str | None:
        """``prompt.md`` at a commit."""
        text = self.commits[sha].files.get("prompt.md")
        return text.decode() if isinstance(text, bytes) else text

    def changes(self, base: str | None, sha: str) -> Diff:
        """What differs between two commits, in full."""
        old: Files = self.commits[base].files if base is not None else {}
        new = self.commits[sha].files
        files = tuple(
            _changed(path, old.get(path), new.get(path))
            for path in sorted({*old, *new})
            if old.get(path) != new.get(path)
        )
        return Diff(base=base, sha=sha, files=files)

    def stat(self, base: str | None, sha: str) -> dict[str, int]:
        """Files changed, lines added and removed."""
        files = self.changes(base, sha).files
        return {
            "files": len(files),
            "added": sum(file.added for file in files),
            "removed": sum(file.removed for file in files),
        }


def unified(diff: Diff) -> str:
    """``diff`` as git prints it."""
    return "".join(f"{line}\n" for file in diff.files for line in _printed(file))


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


def _changed(path: str, old: str | bytes | None, new: str | bytes | None) -> FileDiff:
    change = Change.ADDED if old is None else Change.REMOVED if new is None else Change.MODIFIED
    if isinstance(old, bytes) or isinstance(new, bytes):
        return FileDiff(path=path, change=change, binary=True)
    before, after = _lines(old or ""), _lines(new or "")
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    hunks = tuple(_hunk(group, before, after) for group in matcher.get_grouped_opcodes(3))
    lines = [line.kind for hunk in hunks for line in hunk.lines]
    return FileDiff(
        path=path, change=change, added=lines.count("added"), removed=lines.count("removed"), hunks=hunks
    )


def _lines(text: str) -> list[str]:
    """Split as git does, at line feeds alone."""
    return text.removesuffix("\n").split("\n") if text else []


def _hunk(group: list[tuple[str, int, int, int, int]], before: list[str], after: list[str]) -> Hunk:
    lines: list[Line] = []
    for tag, i1, i2, j1, j2 in group:
        if tag == "equal":
            pairs = zip(range(i1, i2), range(j1, j2), strict=True)
            lines += [Line(kind="context", old=i + 1, new=j + 1, text=before[i]) for i, j in pairs]
            continue
        lines += [Line(kind="removed", old=i + 1, text=before[i]) for i in range(i1, i2)]
        lines += [Line(kind="added", new=j + 1, text=after[j]) for j in range(j1, j2)]
    return Hunk(lines=tuple(lines))


def _printed(file: FileDiff) -> list[str]:
    old = "/dev/null" if file.change is Change.ADDED else f"a/{file.path}"
    new = "/dev/null" if file.change is Change.REMOVED else f"b/{file.path}"
    mode = {Change.ADDED: ["new file mode 100644"], Change.REMOVED: ["deleted file mode 100644"]}
    printed = [f"diff --git a/{file.path} b/{file.path}", *mode.get(file.change, [])]
    if file.binary:
        return [*printed, f"Binary files {old} and {new} differ"]
    printed += [f"--- {old}", f"+++ {new}"]
    signs = {"context": " ", "added": "+", "removed": "-"}
    for hunk in file.hunks:
        olds = [line.old for line in hunk.lines if line.old is not None]
        news = [line.new for line in hunk.lines if line.new is not None]
        printed.append(f"@@ -{_range(olds)} +{_range(news)} @@")
        printed += [signs[line.kind] + line.text for line in hunk.lines]
    return printed


def _range(numbers: list[int]) -> str:
    return f"{numbers[0]},{len(numbers)}" if numbers else "0,0"

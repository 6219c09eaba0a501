"""Brings one commit of a proposer's repository into an applied one, checked, and nothing else."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hyperhive.errors import Broken, Refused
from hyperhive.repos.git import Git, GitFailed, TooMuch, TooSlow
from hyperhive.repos.housekeeping import check_room, tidy
from hyperhive.repos.quarantine import MAX_OBJECT, MAX_OBJECTS, MAX_PACKS, Quarantine
from hyperhive.repos.refs import PINS, Transaction
from hyperhive.repos.tree import check_tree, list_tree, read_config
from hyperhive.repos.values import Pinned

MAX_COMMITS = 5_000
"""Commits that one proposal brings."""
MAX_SECONDS = 60.0
"""Seconds that one proposal may take git, all its calls together."""
_LOOSE = 500
_MAX_INVENTORY = 64 * 1024 * 1024
_MAX_SUMMARY = 200


@dataclass(frozen=True, slots=True)
class Pinning:
    """One pinning.

    Args:
        program: the git binary.
        applied, proposed: the repositories' folders.
        scratch: a path for the quarantine.
    """

    program: str | None
    applied: Path
    proposed: Path
    scratch: Path

    def pin(self, prefix: str) -> Pinned:
        """Pin the commit that begins with ``prefix``.

        Raises:
            Refused: with what, why and what to do; nothing was kept.
            Broken: git or the disk fails.
        """
        folder, until = self.applied / ".git", time.monotonic() + MAX_SECONDS
        check_room(folder)
        own = Git(program=self.program, folder=folder)
        with Quarantine(folder=self.scratch, own=folder / "objects") as quarantine:
            git = Git(program=self.program, folder=folder, objects=quarantine.objects, until=until)
            try:
                quarantine.fill(self.proposed, git)
                known = _inventory(git)
                sha = _resolve(known, prefix, quarantine.oversize)
                new = _new_objects(git, sha, known, quarantine.oversize)
                entries = list_tree(git, sha)
                check_tree(entries)
                config = read_config(git, entries)
                _bring(git, own, new)
            except TooSlow as failure:
                own.check()
                raise Refused(
                    f"This commit takes too long to read ({failure.reason}); begin from a smaller history.",
                    code="too-large",
                ) from None
            except GitFailed as failure:
                own.check()
                raise _not_whole(prefix, failure.reason) from None
        transaction = Transaction(git=own, folder=folder)
        transaction.move(f"{PINS}/{sha}", sha)
        transaction.commit()
        tidy(own, folder)
        try:
            return Pinned(sha=sha, summary=summary(own, sha), config=config)
        except GitFailed as failure:
            raise Broken(f"{folder} cannot be read: {failure.reason}.") from None


def _inventory(git: Git) -> dict[str, tuple[str, int]]:
    """Kind and size of every object in reach, without unpacking them.

    Raises:
        Refused: one that git would take into memory whole is too large for that.
    """
    form = "--batch-check=%(objectname) %(objecttype) %(objectsize)"
    raw = git.run("cat-file", form, "--batch-all-objects", "--unordered", limit=_MAX_INVENTORY)
    known = {}
    for line in raw.decode().splitlines():
        oid, kind, size = line.split()
        known[oid] = (kind, int(size))
        if kind != "blob" and int(size) > MAX_OBJECT:
            raise Refused(
                f"Object {oid} in proposed/ is a {kind} larger than {MAX_OBJECT >> 20} MiB; "
                "begin from a history without it.",
                code="too-large",
            )
    return known


def _resolve(known: Mapping[str, tuple[str, int]], prefix: str, oversize: Mapping[str, int]) -> str:
    """The one commit whose name begins so."""
    kinds = {oid: kind for oid, (kind, _) in known.items() if oid.startswith(prefix)}
    commits = sorted(oid for oid, kind in kinds.items() if kind == "commit")
    if len(commits) == 1:
        return commits[0]
    if commits:
        some = ", ".join(oid[:16] for oid in commits[:4])
        raise Refused(
            f"'{prefix}' begins several commits ({some}); give more digits.", code="ambiguous-commit"
        )
    if kinds:
        kind = next(iter(kinds.values()))
        raise Refused(f"'{prefix}' names a {kind}, not a commit; give a commit.", code="unknown-commit")
    if any(oid.startswith(prefix) for oid in oversize):
        raise Refused(f"'{prefix}' is larger than {MAX_OBJECT >> 20} MiB; no commit is.", code="too-large")
    raise Refused(
        f"No commit in the config repository (proposed/) begins with '{prefix}'; commit there first, "
        "then give what 'git rev-parse HEAD' prints.",
        code="unknown-commit",
    )


def _new_objects(
    git: Git, sha: str, known: Mapping[str, tuple[str, int]], oversize: Mapping[str, int]
) -> list[str]:
    """Objects that the commit needs and ``applied/`` has not: all there, none too large, not too many."""
    walk = ("rev-list", "--objects", "--no-object-names", "--missing=print", sha, "--not", "--all")
    try:
        new = git.run(*walk, limit=(MAX_OBJECTS + 1) * 42).decode().split()
    except TooMuch:
        raise _too_many() from None
    if len(new) > MAX_OBJECTS or sum(known.get(oid, ("", 0))[0] == "commit" for oid in new) > MAX_COMMITS:
        raise _too_many()
    for name in new:
        oid = name.removeprefix("?")
        size = oversize.get(oid) or known.get(oid, ("", 0))[1]
        if size > MAX_OBJECT:
            raise Refused(
                f"{_place(git, sha, oid)} is larger than {MAX_OBJECT >> 20} MiB in this commit or its history; "
                "keep it in state/ instead, and begin from a history without it.",
                code="too-large",
            )
        if oid not in known:
            raise _not_whole(sha, f"object {oid} is missing")
    return new


def _place(git: Git, sha: str, oid: str) -> str:
    """Where an object lies in a commit's history, for a refusal; only lists of folders are read for it."""
    try:
        raw = git.run(
            "log", "--raw", "--no-abbrev", "--no-renames", "-m", "--root", "--format=", sha, "--not", "--all"
        )
    except TooMuch as failure:
        raw = failure.heard
    for line in raw.decode(errors="replace").split("\n"):
        facts, _, path = line.partition("\t")
        if oid in facts.split():
            return ascii(path)[:122]
    return f"Object {oid}"


def _bring(git: Git, own: Git, new: list[str]) -> None:
    """Copy objects into ``applied/``. What comes in is read and named anew, and checked by git's own rules."""
    if not new:
        return
    wanted = "".join(f"{oid}\n" for oid in new).encode()
    pack = git.run("pack-objects", "--stdout", "-q", "--window=0", data=wanted, limit=MAX_PACKS)
    try:
        if len(new) <= _LOOSE:
            own.run("unpack-objects", "-q", "--strict", data=pack)
        else:
            own.run("index-pack", "--stdin", "--strict", "--threads=1", data=pack)
    except GitFailed as failure:
        own.check()
        raise Refused(
            f"This commit holds what git itself would not write ({failure.reason}); make it anew with git.",
            code="bad-repository",
        ) from None


def summary(git: Git, sha: str) -> str:
    """A commit's subject line, fit to be shown.

    Raises:
        GitFailed: there is no such commit.
    """
    raw = git.run("rev-list", "-1", "--format=%s", sha, "--")
    return shown(raw.decode(errors="replace").partition("\n")[2])


def shown(text: str) -> str:
    """A line of a proposer's, without what would act on a screen."""
    return "".join(char if char.isprintable() else " " for char in text.strip())[:_MAX_SUMMARY].rstrip()


def _not_whole(commit: str, reason: str) -> Refused:
    return Refused(
        f"Commit {commit} cannot be taken over ({reason}); objects that are elsewhere (a shallow or partial clone, "
        "alternates) do not count: run 'git fsck' in proposed/ and mend it, or clone applied/ anew.",
        code="bad-repository",
    )


def _too_many() -> Refused:
    return Refused(
        f"This commit brings more than {MAX_OBJECTS} objects or {MAX_COMMITS} commits; begin from a smaller history.",
        code="too-large",
    )

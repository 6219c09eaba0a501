"""Brings one commit of a proposer's repository into an applied one, checked, and nothing else."""

from dataclasses import dataclass
from pathlib import Path

from hyperhive.errors import Refused
from hyperhive.repos.git import Git, GitFailed, TooMuch, TooSlow
from hyperhive.repos.quarantine import MAX_OBJECT, MAX_OBJECTS, MAX_PACKS, Quarantine
from hyperhive.repos.refs import PINS, Transaction
from hyperhive.repos.tree import check_tree, list_tree, read_config
from hyperhive.repos.values import Pinned

MAX_COMMITS = 5_000
"""Commits that one proposal brings."""
_LOOSE = 500
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
        """
        folder = self.applied / ".git"
        own = Git(program=self.program, folder=folder)
        with Quarantine(folder=self.scratch, own=folder / "objects") as quarantine:
            git = Git(program=self.program, folder=folder, objects=quarantine.objects)
            try:
                quarantine.fill(self.proposed, git)
                sha = _resolve(git, prefix, quarantine)
                new = _new_objects(git, sha)
                _check_sizes(git, new)
                entries = list_tree(git, sha)
                check_tree(entries)
                config = read_config(git, entries)
                _bring(git, own, list(new))
            except TooSlow as failure:
                raise Refused(
                    f"This commit takes too long to read ({failure.reason}); begin from a smaller history.",
                    code="too-large",
                ) from None
            except GitFailed as failure:
                raise _not_whole(prefix, failure, quarantine) from None
        transaction = Transaction(git=own, folder=folder)
        transaction.move(f"{PINS}/{sha}", sha)
        transaction.commit()
        return Pinned(sha=sha, summary=summary(own, sha), config=config)


def _resolve(git: Git, prefix: str, quarantine: Quarantine) -> str:
    """The one commit whose name begins so."""
    matches = git.run("rev-parse", f"--disambiguate={prefix}", limit=1 << 20).decode().split()
    kinds = _describe(git, matches)
    commits = [oid for oid, (kind, _) in kinds.items() if kind == "commit"]
    if len(commits) == 1:
        return commits[0]
    if commits:
        some = ", ".join(oid[:16] for oid in commits[:4])
        raise Refused(
            f"'{prefix}' begins several commits ({some}); give more digits.", code="ambiguous-commit"
        )
    if kinds:
        kind, _ = next(iter(kinds.values()))
        raise Refused(f"'{prefix}' names a {kind}, not a commit; give a commit.", code="unknown-commit")
    if any(oid.startswith(prefix) for oid in quarantine.oversize):
        raise Refused(f"'{prefix}' is larger than {MAX_OBJECT >> 20} MiB; no commit is.", code="too-large")
    raise Refused(
        f"No commit in proposed/ begins with '{prefix}'; commit there first, "
        "then give what 'git rev-parse HEAD' prints.",
        code="unknown-commit",
    )


def _describe(git: Git, oids: list[str]) -> dict[str, tuple[str, int]]:
    """Kind and size of objects, without unpacking them."""
    if not oids:
        return {}
    raw = git.run("cat-file", "--batch-check", "--buffer", data="".join(f"{oid}\n" for oid in oids).encode())
    found = {}
    for line in raw.decode().splitlines():
        oid, *rest = line.split()
        if len(rest) != 2:
            raise GitFailed(f"object {oid} is missing")
        found[oid] = (rest[0], int(rest[1]))
    return found


def _new_objects(git: Git, sha: str) -> dict[str, str]:
    """Objects that the commit needs and ``applied/`` has not, with a path where they have one."""
    for oid, (kind, size) in _all(git).items():
        # git takes these into memory whole, however they are bounded later.
        if kind != "blob" and size > MAX_OBJECT:
            raise Refused(
                f"Object {oid} in proposed/ is a {kind} larger than {MAX_OBJECT >> 20} MiB; "
                "begin from a history without it.",
                code="too-large",
            )
    try:
        raw = git.run("rev-list", "--objects", sha, "--not", "--all", limit=MAX_OBJECTS * 200)
    except TooMuch:
        raise _too_many() from None
    lines = [line.partition(" ") for line in raw.decode(errors="replace").split("\n") if line]
    if len(lines) > MAX_OBJECTS:
        raise _too_many()
    return {oid: path for oid, _, path in lines}


def _all(git: Git) -> dict[str, tuple[str, int]]:
    """Kind and size of every object in reach."""
    raw = git.run(
        "cat-file",
        "--batch-check=%(objectname) %(objecttype) %(objectsize)",
        "--batch-all-objects",
        "--unordered",
        limit=64 * 1024 * 1024,
    )
    lines = (line.split() for line in raw.decode().splitlines())
    return {oid: (kind, int(size)) for oid, kind, size in lines}


def _check_sizes(git: Git, new: dict[str, str]) -> None:
    kinds = _describe(git, list(new))
    if sum(kind == "commit" for kind, _ in kinds.values()) > MAX_COMMITS:
        raise _too_many()
    for oid, (_, size) in kinds.items():
        if size > MAX_OBJECT:
            place = ascii(new[oid])[1:-1][:120] or oid
            raise Refused(
                f"{place} is larger than {MAX_OBJECT >> 20} MiB in this commit's history; keep it in state/ instead "
                "and begin from a history without it.",
                code="too-large",
            )


def _bring(git: Git, own: Git, new: list[str]) -> None:
    """Copy objects into ``applied/``. What comes in is read and named anew, and checked by git's own rules."""
    if not new:
        return
    pack = git.run(
        "pack-objects",
        "--stdout",
        "-q",
        "--window=0",
        data="".join(f"{oid}\n" for oid in new).encode(),
        limit=MAX_PACKS,
    )
    if len(new) <= _LOOSE:
        own.run("unpack-objects", "-q", "--strict", data=pack)
    else:
        own.run("index-pack", "--stdin", "--strict", "--threads=1", data=pack)


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


def _not_whole(prefix: str, failure: GitFailed, quarantine: Quarantine) -> Refused:
    if (large := next((oid for oid in quarantine.oversize if oid in failure.reason), None)) is not None:
        return Refused(
            f"Commit {prefix} holds object {large}, which is larger than {MAX_OBJECT >> 20} MiB; "
            "keep it in state/ instead and begin from a history without it.",
            code="too-large",
        )
    return Refused(
        f"Commit {prefix} cannot be taken over ({failure.reason}); objects that are elsewhere (a shallow or partial "
        "clone, alternates) do not count: run 'git fsck' in proposed/ and mend it, or clone applied/ anew.",
        code="bad-repository",
    )


def _too_many() -> Refused:
    return Refused(
        f"This commit brings more than {MAX_OBJECTS} objects or {MAX_COMMITS} commits; begin from a smaller history.",
        code="too-large",
    )

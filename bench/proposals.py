"""Taking a proposal in and approving it, against git doing no more than fetching and tagging the same commits."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Row, interleaved, timed
from hyperhive.repos.repositories import Repositories
from hyperhive.repos.values import Tag

_ROUNDS = 15
_WHO = {f"GIT_{who}_{what}": "bench" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
_ENV = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **_WHO}


def rows() -> Iterator[Row]:
    """One small commit after another."""
    with tempfile.TemporaryDirectory(prefix="hhb-") as folder:
        side = _Side(Path(folder))
        ours, floor = interleaved(side.ours, side.bare, _ROUNDS)
        yield Row("submit and approve a commit", ours * 1e3, floor * 1e3, "ms", "git fetch and two git tag")


class _Side:
    def __init__(self, home: Path) -> None:
        self._repos = Repositories(home=home)
        self._repos.prepare("alice", first=True)
        self._proposed = home / "agents" / "alice" / "proposed"
        self._bare = home / "bare"
        self._bare.mkdir()
        self._count = 0
        _git(self._bare, "init", "--quiet", "--bare")

    def _commit(self) -> str:
        self._count += 1
        (self._proposed / "agent.toml").write_text(f'model = "m{self._count}"\n')
        _git(self._proposed, "commit", "--quiet", "--all", "--message", "Change it")
        return _git(self._proposed, "rev-parse", "HEAD")

    def ours(self) -> float:
        """Pin, check and tag as the Gatekeeper does: at submission, and again at the approval."""
        sha, id = self._commit(), self._count

        def work() -> None:
            pinned = self._repos.pin("alice", sha)
            self._repos.stat("alice", self._repos.first("alice"), pinned.sha)
            self._repos.tag("alice", make={f"proposal/{id}": Tag(sha)})
            self._repos.check("alice", sha)
            self._repos.tag("alice", make={f"proposal/{id}": Tag(sha), f"approved/{id}": Tag(sha)})

        return timed(work)

    def bare(self) -> float:
        """The same result without looking at what it is."""
        sha, id = self._commit(), self._count

        def work() -> None:
            _git(self._bare, "fetch", "--quiet", str(self._proposed), f"{sha}:refs/pins/{sha}")
            _git(self._bare, "tag", f"proposal/{id}", sha)
            _git(self._bare, "tag", f"approved/{id}", sha)

        return timed(work)


def _git(folder: Path, *words: str) -> str:
    command = ("git", "-C", str(folder), *words)
    done = subprocess.run(command, env=_ENV, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.strip()

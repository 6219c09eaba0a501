"""``main`` of an agent that began with the first config."""

import subprocess
from pathlib import Path

import pytest

from hyperhive.repos import skeleton
from hyperhive.repos.repositories import Repositories

pytestmark = pytest.mark.slow


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_main_begins_with_the_first_commit_once_it_is_deployed(tmp_path: Path) -> None:
    repos = Repositories(home=tmp_path)
    repos.prepare("alice", first=True)
    assert repos.main("alice") is None
    repos.begin("alice")
    repos.begin("alice")
    applied = tmp_path / "agents/alice/applied"
    assert repos.main("alice") == repos.first("alice") == git(applied, "rev-parse", "main")
    assert git(applied, "log", "--format=%s") == "Begin with the first config"
    git(applied, "fsck", "--strict")
    repos.prepare("alice", first=True)
    assert git(applied, "ls-files") == "agent.toml"


def test_main_begins_with_the_first_commit_that_an_earlier_hyperhive_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(skeleton, "DEFAULT", 'model = "haiku"\n')
        Repositories(home=tmp_path).prepare("alice", first=True)
    repos = Repositories(home=tmp_path)
    repos.prepare("alice", first=True)
    repos.begin("alice")
    applied = tmp_path / "agents/alice/applied"
    assert repos.main("alice") == repos.first("alice") == git(applied, "rev-parse", "main")
    assert (applied / "agent.toml").read_text() == 'model = "haiku"\n'
    git(applied, "fsck", "--strict")


def test_a_draft_does_not_begin_with_the_first_commit(tmp_path: Path) -> None:
    repos = Repositories(home=tmp_path)
    repos.prepare("bob", first=False)
    repos.begin("bob")
    assert repos.main("bob") is None

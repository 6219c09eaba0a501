"""git is run within bounds of time, memory and output, whatever it does."""

from pathlib import Path

import pytest

from hyperhive.errors import Broken
from hyperhive.repos.git import Git, GitFailed, TooMuch, TooSlow, check_git
from hyperhive.repos.repositories import Repositories
from hyperhive.runtimes import proc
from tests.repos.rig import NAME, Rig, run_git
from tests.waiting import eventually

pytestmark = pytest.mark.slow


def script(folder: Path, body: str) -> Git:
    """A git that does as told."""
    program = folder / "git"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o700)
    return Git(program=str(program), folder=folder)


def test_one_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    git = script(tmp_path, f"sleep 1000 & echo $! > '{tmp_path}/child'; wait")
    with pytest.raises(TooSlow):
        git.run("status", deadline=5.0)
    child = int((tmp_path / "child").read_text())
    eventually(lambda: (found := proc.stat(child)) is None or found.dead)


def test_one_that_does_not_stop_talking_is_killed(tmp_path: Path) -> None:
    with pytest.raises(TooMuch) as much:
        script(tmp_path, "exec yes").run("log", limit=1000)
    assert much.value.heard.startswith(b"y\ny\n")


def test_one_that_complains_without_end_is_heard_no_further(tmp_path: Path) -> None:
    with pytest.raises(TooSlow):
        script(tmp_path, "exec yes >&2").run("log", deadline=0.5)


def test_one_that_does_not_listen_is_no_obstacle(tmp_path: Path) -> None:
    assert script(tmp_path, "echo done").run("log", data=bytes(1 << 22)) == b"done\n"


def test_what_it_is_given_and_says_is_not_bound_to_a_pipes_size(tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096
    assert script(tmp_path, "exec cat").run("log", data=data, limit=len(data)) == data


def test_its_first_error_is_the_reason(tmp_path: Path) -> None:
    git = script(tmp_path, "echo 'error: object x: bad\033[2J' >&2; echo 'fatal: it failed' >&2; exit 128")
    with pytest.raises(GitFailed) as failed:
        git.run("log")
    assert failed.value.reason == "object x: bad?[2J"


def test_its_memory_is_bounded(tmp_path: Path) -> None:
    bounded = f"grep -q 'Max address space *{1 << 30} ' /proc/self/limits"  # from outside, once it has begun
    assert script(tmp_path, f"until {bounded}; do sleep 0.02; done; echo yes").run("log") == b"yes\n"


def test_without_git_one_is_told_to_install_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    repos = Repositories(home=rig.home)
    with pytest.raises(Broken, match="git is not on PATH; install git"):
        repos.pin(NAME, "a" * 40)
    repos.prepare("bob", first=True)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo 'cannot open shared object file' >&2; exit 127", "cannot open shared object file"),
        ("kill -9 $$", "ended with status -9"),
        ("exit 0", "does not say its version"),
    ],
)
def test_a_git_that_does_not_work_is_not_the_proposers_fault(rig: Rig, body: str, reason: str) -> None:
    sha = rig.repos.pin(NAME, rig.proposer.commit({"agent.toml": b'model = "opus"\n'})).sha
    program = rig.home / "git"
    script(rig.home, body)
    with pytest.raises(Broken, match=rf"{reason}.*; install git anew"):
        check_git(str(program))
    script(rig.home, "exit 1" if body == "exit 0" else body)
    repos = Repositories(home=rig.home, git=str(program))
    calls = (
        lambda: repos.pin(NAME, sha),
        lambda: repos.check(NAME, sha),
        lambda: repos.diff(NAME, None, sha),
    )
    for call in calls:
        with pytest.raises(Broken, match=r"does not work .*; install git anew, then try again"):
            call()
    program.unlink()
    for call in calls:
        with pytest.raises(Broken, match="cannot be run: No such file"):
            call()
    assert rig.repos.pin(NAME, sha).sha == sha


def test_an_odd_home_is_no_obstacle(tmp_path: Path) -> None:
    home = tmp_path / 'a:b "c" ü'
    repos = Repositories(home=home)
    repos.prepare(NAME, first=True)
    rig = Rig(repos=repos, home=home)
    sha = rig.proposer.commit({"agent.toml": b'model = "haiku"\n'})
    repos.tag(NAME, make={}, main=repos.pin(NAME, sha).sha)
    assert repos.main(NAME) == sha
    assert run_git(rig.applied, "status", "--porcelain") == ""

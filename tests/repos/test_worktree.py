"""The files beside ``applied/.git`` are those of ``main``, also after a kill; what the operator wrote is not lost."""

import os

import pytest

from hyperhive.errors import Invalid
from hyperhive.repos.values import Tag
from hyperhive.repos.worktree import WorkTree
from tests.repos.rig import CONFIG, NAME, Rig

pytestmark = pytest.mark.slow


def deploy(rig: Rig, files: dict[str, bytes | None]) -> str:
    sha = rig.repos.pin(NAME, rig.proposer.commit(files)).sha
    rig.repos.tag(NAME, make={"deployed/1": Tag(sha)}, main=sha)
    return sha


def test_files_come_and_go_with_main(rig: Rig) -> None:
    deploy(rig, {"agent.toml": CONFIG, "a/b/c.md": b"one\r\n", "a/d": b"\0\1"})
    deploy(rig, {"a/b/c.md": None, "a/d": None, "a": b"a file now\n", "e": b""})
    assert rig.files() == {"agent.toml": CONFIG, "a": b"a file now\n", "e": b""}
    deploy(rig, {"a": None, "a/b": b"a folder again\n"})
    assert rig.files() == {"agent.toml": CONFIG, "a/b": b"a folder again\n", "e": b""}
    assert rig.git("status", "--porcelain") == ""


def test_files_that_nobody_committed_stay(rig: Rig) -> None:
    deploy(rig, {"agent.toml": CONFIG, "a/b": b"x\n"})
    (rig.applied / "a/mine").write_bytes(b"mine\n")
    deploy(rig, {"a/b": None})
    assert rig.files() == {"agent.toml": CONFIG, "a/mine": b"mine\n"}


def test_an_edit_that_the_new_commit_does_not_touch_stays(rig: Rig) -> None:
    deploy(rig, {"agent.toml": CONFIG, "x": b"1\n"})
    (rig.applied / "agent.toml").write_bytes(b'model = "haiku"\n')
    deploy(rig, {"x": b"2\n"})
    assert rig.files() == {"agent.toml": b'model = "haiku"\n', "x": b"2\n"}


def test_an_edit_that_the_new_commit_overwrites_is_kept_beside(rig: Rig) -> None:
    deploy(rig, {"agent.toml": CONFIG, "gone": b"x\n"})
    (rig.applied / "agent.toml").write_bytes(b'model = "haiku"\n')
    (rig.applied / "gone").write_bytes(b"edited\n")
    deploy(rig, {"agent.toml": b'model = "sonnet"\n', "gone": None})
    assert rig.files() == {
        "agent.toml": b'model = "sonnet"\n',
        "agent.toml.edited": b'model = "haiku"\n',
        "gone.edited": b"edited\n",
    }


def test_nothing_is_written_through_a_link(rig: Rig) -> None:
    deploy(rig, {"agent.toml": CONFIG, "a/b": b"1\n", "c": b"1\n"})
    outside = rig.home / "outside"
    outside.mkdir()
    (rig.applied / "a/b").unlink()
    (rig.applied / "a").rmdir()
    (rig.applied / "a").symlink_to(outside)
    (rig.applied / "c").unlink()
    (rig.applied / "c").symlink_to(outside / "c")
    deploy(rig, {"a/b": b"2\n", "c": b"2\n"})
    assert list(outside.iterdir()) == []
    assert rig.files() == {"agent.toml": CONFIG, "a/b": b"2\n", "c": b"2\n"}


def test_a_daemon_that_died_between_main_and_its_files_goes_on(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = deploy(rig, {"agent.toml": CONFIG, "old": b"x\n"})
    with monkeypatch.context() as died:
        died.setattr(WorkTree, "bring", lambda tree, sha: None)
        new = deploy(rig, {"old": None, "new": b"y\n"})
    assert rig.files() == {"agent.toml": CONFIG, "old": b"x\n"}
    assert rig.repos.main(NAME) == new != old
    rig.repos.prepare(NAME, first=False)
    assert rig.files() == {"agent.toml": CONFIG, "new": b"y\n"}
    assert rig.git("status", "--porcelain") == ""


@pytest.mark.parametrize("step", ["_write", "_remove", "_index", "_replace"])
def test_a_daemon_that_died_among_the_files_goes_on(
    rig: Rig, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    def die(*_: object) -> None:
        raise Died

    deploy(rig, {"agent.toml": CONFIG, "old": b"x\n", "both": b"1\n"})
    with monkeypatch.context() as died, pytest.raises(Died):
        died.setattr(WorkTree, step, die)
        deploy(rig, {"old": None, "new": b"y\n", "both": b"2\n"})
    main = rig.repos.main(NAME)
    assert main is not None
    rig.repos.tag(NAME, make={"deployed/1": Tag(main)}, main=main)
    assert rig.files() == {"agent.toml": CONFIG, "new": b"y\n", "both": b"2\n"}
    assert rig.git("status", "--porcelain") == ""


def test_a_commit_of_the_operators_own_is_taken_as_it_is(rig: Rig) -> None:
    deploy(rig, {"agent.toml": CONFIG})
    (rig.applied / "agent.toml").write_bytes(b'model = "haiku"\n')
    rig.git("-c", "user.name=o", "-c", "user.email=o@o", "commit", "-qam", "By hand")
    rig.repos.prepare(NAME, first=False)
    assert rig.files() == {"agent.toml": b'model = "haiku"\n'}
    assert rig.repos.log(NAME)[0].summary == "By hand"
    assert rig.git("status", "--porcelain") == ""


def test_an_edit_by_hand_is_committed_as_the_operators(rig: Rig) -> None:
    before = deploy(rig, {"agent.toml": CONFIG, "prompt.md": b"p\n"})
    (rig.applied / "agent.toml").write_bytes(b'model = "haiku"\n')
    sha = rig.repos.adopt_edit(NAME, 'model = "haiku"\n')
    newest, older, *_ = rig.repos.log(NAME)
    assert (newest.sha, newest.summary, newest.author, older.sha) == (
        sha,
        "Edited by hand",
        "operator",
        before,
    )
    assert rig.repos.read(NAME, sha, "prompt.md", 10) == b"p\n"
    assert rig.git("status", "--porcelain") == ""
    assert rig.repos.main(NAME) == sha


def test_adopting_what_is_committed_makes_no_commit(rig: Rig) -> None:
    sha = deploy(rig, {"agent.toml": CONFIG})
    assert rig.repos.adopt_edit(NAME, CONFIG.decode()) == sha


def test_an_edit_that_is_not_utf8_is_refused(rig: Rig) -> None:
    with pytest.raises(Invalid, match=r"agent\.toml: not UTF-8"):
        rig.repos.adopt_edit(NAME, b"\xff".decode(errors="surrogateescape"))
    assert rig.repos.main(NAME) is None


def test_an_executable_file_stays_one(rig: Rig) -> None:
    tool = rig.proposer.folder / "tool"
    tool.write_bytes(b"#!/bin/sh\n")
    tool.chmod(0o755)
    deploy(rig, {"agent.toml": CONFIG})
    assert os.access(rig.applied / "tool", os.X_OK)
    assert not os.access(rig.applied / "agent.toml", os.X_OK)
    tool.chmod(0o644)
    deploy(rig, {})
    assert not os.access(rig.applied / "tool", os.X_OK)
    assert rig.git("status", "--porcelain") == ""

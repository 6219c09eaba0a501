"""A new agent's repositories are there at once, and stay as they are when asked for again."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from hyperhive.domain.agent_config import DEFAULT
from hyperhive.errors import Broken, Invalid, Refused, Unknown
from hyperhive.repos.repositories import Repositories
from hyperhive.repos.values import Tag
from tests.nobody import as_nobody
from tests.repos.rig import NAME, Rig, run_git

pytestmark = pytest.mark.slow


def test_both_begin_with_the_same_first_commit(rig: Rig) -> None:
    first = rig.repos.first(NAME)
    assert first is not None
    assert rig.proposer.head() == first
    assert rig.repos.main(NAME) is None
    assert rig.repos.read(NAME, first, "agent.toml", 10_000) == DEFAULT.encode()


def test_git_finds_nothing_to_complain_of_in_them(rig: Rig) -> None:
    assert rig.proposer.git("fsck", "--strict") == ""
    assert rig.git("fsck", "--strict") == ""
    assert rig.proposer.git("status", "--porcelain") == ""
    assert rig.proposer.git("branch", "--show-current") == "main"


def test_the_first_commit_is_the_same_everywhere(rig: Rig, tmp_path: Path) -> None:
    other = Repositories(home=tmp_path / "other")
    other.prepare("bob", first=True)
    assert other.first("bob") == rig.repos.first(NAME)


def test_a_draft_may_not_be_built_from_the_first_commit(tmp_path: Path) -> None:
    repos = Repositories(home=tmp_path)
    repos.prepare("draft", first=False)
    assert repos.first("draft") is None
    assert (tmp_path / "agents/draft/proposed/agent.toml").read_text() == DEFAULT
    repos.prepare("draft", first=True)
    assert repos.first("draft") is not None


def test_preparing_again_changes_nothing(rig: Rig) -> None:
    sha = rig.proposer.commit({"agent.toml": b'model = "haiku"\n'})
    rig.repos.prepare(NAME, first=True)
    assert rig.proposer.head() == sha
    assert rig.proposer.git("status", "--porcelain") == ""


def test_a_clone_can_push_its_work_back(rig: Rig, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    run_git(tmp_path, "clone", "-q", str(rig.root / "proposed"), "clone")
    (clone / "agent.toml").write_text('model = "haiku"\n')
    run_git(clone, "-c", "user.name=m", "-c", "user.email=m@localhost", "commit", "-qam", "From afar")
    run_git(clone, "push", "-q", "origin", "main")
    assert rig.proposer.head() == run_git(clone, "rev-parse", "HEAD")
    assert (rig.root / "proposed/agent.toml").read_text() == 'model = "haiku"\n'


def test_only_the_hives_user_can_look_into_them(rig: Rig) -> None:
    modes = {
        path.stat().st_mode & 0o077 for path in [rig.root / "proposed", rig.applied, *rig.applied.rglob("*")]
    }
    assert modes == {0}


def test_a_config_that_was_there_before_stays(tmp_path: Path) -> None:
    applied = tmp_path / "agents/old/applied"
    applied.mkdir(parents=True)
    (applied / "agent.toml").write_text('model = "haiku"\n')
    repos = Repositories(home=tmp_path)
    repos.prepare("old", first=True)
    assert (applied / "agent.toml").read_text() == 'model = "haiku"\n'
    sha = repos.adopt_edit("old", 'model = "haiku"\n')
    assert repos.main("old") == sha
    assert [commit.sha for commit in repos.log("old")] == [sha, repos.first("old")]


def test_the_manager_can_fetch_what_was_applied(rig: Rig) -> None:
    sha = rig.repos.adopt_edit(NAME, 'model = "haiku"\n')
    rig.repos.tag(NAME, make={"deployed/1": Tag(sha)})
    rig.proposer.git("fetch", "-q", "applied")
    rig.proposer.git("merge", "-q", "--ff-only", "applied/main")
    assert rig.proposer.head() == sha
    assert rig.proposer.git("tag") == "deployed/1"


def test_a_proposed_folder_that_was_emptied_is_made_again(rig: Rig) -> None:
    shutil.rmtree(rig.proposer.folder)
    rig.repos.prepare(NAME, first=True)
    assert rig.proposer.head() == rig.repos.first(NAME)


def test_a_repository_is_not_made_again_over_what_the_proposer_put_in_its_place(rig: Rig) -> None:
    shutil.rmtree(rig.proposer.folder / ".git")
    (rig.proposer.folder / ".git").symlink_to(rig.home)
    rig.repos.prepare(NAME, first=True)
    assert (rig.proposer.folder / ".git").is_symlink()


def test_nothing_is_written_through_a_link_in_proposed(rig: Rig, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    shutil.rmtree(rig.proposer.folder / ".git")
    (rig.proposer.folder / "agent.toml").unlink()
    (rig.proposer.folder / "agent.toml").symlink_to(victim)
    rig.repos.prepare(NAME, first=True)
    assert not victim.exists()


def test_a_proposed_that_is_a_link_is_refused(rig: Rig, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.rmtree(rig.proposer.folder)
    rig.proposer.folder.symlink_to(elsewhere)
    with pytest.raises(Broken):
        rig.repos.prepare(NAME, first=True)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="takes on another user, as only root can")
@pytest.mark.parametrize("emptied", [False, True])
def test_a_proposed_that_its_proposer_closed_is_in_no_builds_way(emptied: bool) -> None:
    def close_it() -> None:
        rig = Rig(repos=Repositories(home=Path(home)), home=Path(home))
        rig.repos.prepare(NAME, first=True)
        if emptied:
            shutil.rmtree(rig.proposer.folder / ".git")
        rig.proposer.folder.chmod(0o500 if emptied else 0)
        try:
            rig.repos.prepare(NAME, first=True)
            assert not (rig.root / ".repos").exists()
            with pytest.raises(Refused):
                rig.repos.pin(NAME, "1234567")
        finally:
            rig.proposer.folder.chmod(0o700)

    with tempfile.TemporaryDirectory(prefix="hive-open-") as home:
        Path(home).chmod(0o777)
        as_nobody(close_it)


def test_a_daemon_killed_while_it_made_them_makes_them_again(tmp_path: Path) -> None:
    root = tmp_path / "agents" / NAME
    (root / ".repos/objects").mkdir(parents=True)
    (root / ".repos/HEAD").write_text("ref: refs/heads/main\n")
    (root / "applied").mkdir()
    repos = Repositories(home=tmp_path)
    repos.prepare(NAME, first=True)
    rig = Rig(repos=repos, home=tmp_path)
    assert rig.clean()
    assert rig.proposer.head() == repos.first(NAME)


def test_what_a_power_loss_left_of_a_new_one_is_made_again(rig: Rig) -> None:
    (rig.applied / ".git/HEAD").write_bytes(b"")
    rig.repos.prepare(NAME, first=True)
    assert rig.clean()


def test_a_damaged_one_with_a_history_is_not_thrown_away(rig: Rig) -> None:
    sha = rig.repos.adopt_edit(NAME, 'model = "haiku"\n')
    (rig.applied / ".git/HEAD").unlink()
    with pytest.raises(Broken, match="HEAD is lost"):
        rig.repos.prepare(NAME, first=True)
    assert (rig.applied / ".git/refs/heads/main").read_text() == f"{sha}\n"


@pytest.mark.parametrize("name", ["../x", "", "a/b", "a\0", ".git", "Alice", "x" * 32])
def test_no_name_leaves_its_folder(rig: Rig, name: str) -> None:
    before = sorted(rig.home.iterdir())
    with pytest.raises(Invalid):
        rig.repos.prepare(name, first=True)
    with pytest.raises(Invalid):
        rig.repos.pin(name, "a" * 40)
    assert sorted(rig.home.iterdir()) == before


def test_an_agent_without_repositories_is_unknown(rig: Rig) -> None:
    with pytest.raises(Unknown):
        rig.repos.pin("nobody", "a" * 40)
    assert rig.repos.main("nobody") is None


def test_they_can_be_used_without_an_identity_or_a_home(rig: Rig) -> None:
    sha = rig.proposer.commit({"agent.toml": b'model = "haiku"\n'})
    assert run_git(rig.proposer.folder, "log", "-1", "--format=%an") == "manager"
    assert rig.repos.pin(NAME, sha).sha == sha

"""Tags are the image of what was decided: all of a step at once, and the same however often it is made."""

from datetime import UTC, datetime

import pytest

from hyperhive.errors import Invalid
from hyperhive.repos.repositories import Repositories
from hyperhive.repos.values import Tag
from tests.repos.rig import CONFIG, NAME, Rig

pytestmark = pytest.mark.slow

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


@pytest.fixture
def sha(rig: Rig) -> str:
    """A pinned commit."""
    return rig.repos.pin(NAME, rig.proposer.commit({"agent.toml": CONFIG})).sha


def test_a_tag_without_a_message_is_the_commit(rig: Rig, sha: str) -> None:
    rig.repos.tag(NAME, make={"proposal/1": Tag(sha)})
    assert rig.ref("refs/tags/proposal/1") == sha


def test_a_tag_with_a_message_says_why_who_and_when(rig: Rig, sha: str) -> None:
    rig.repos.tag(NAME, make={"denied/1": Tag(sha, "Too broad\n\nAsk for less.", "operator", NOW)})
    form = "--format=%(*objectname) %(taggername) %(taggerdate:iso-strict) %(contents)"
    said = rig.git("for-each-ref", form, "refs/tags/denied/1")
    assert said == f"{sha} operator 2026-05-04T03:02:01+00:00 Too broad\n\nAsk for less."
    assert rig.clean()


def test_making_them_again_changes_nothing(rig: Rig, sha: str) -> None:
    def step() -> str:
        rig.repos.tag(
            NAME,
            make={"approved/1": Tag(sha), "failed/1": Tag(sha, "it did not start", "operator", NOW)},
            drop=["building/1", "deployed/1"],
        )
        return rig.git("for-each-ref")

    assert step() == step()


def test_a_reason_without_a_time_has_the_commits(rig: Rig, sha: str) -> None:
    rig.repos.tag(NAME, make={"failed/1": Tag(sha, "no")})
    once = rig.ref("refs/tags/failed/1")
    rig.repos.tag(NAME, make={"failed/1": Tag(sha, "no")})
    assert rig.ref("refs/tags/failed/1") == once


def test_tags_are_dropped_and_made_at_once(rig: Rig, sha: str) -> None:
    rig.repos.tag(NAME, make={"deployed/1": Tag(sha)}, main=sha)
    rig.repos.tag(NAME, make={"failed/1": Tag(sha)}, drop=["deployed/1", "denied/1"])
    assert rig.ref("refs/tags/deployed/1") is None
    assert rig.ref("refs/tags/failed/1") == sha


def test_one_that_is_made_and_dropped_is_made(rig: Rig, sha: str) -> None:
    rig.repos.tag(NAME, make={"approved/1": Tag(sha)}, drop=["approved/1"])
    assert rig.ref("refs/tags/approved/1") == sha


@pytest.mark.parametrize(
    ("message", "by"),
    [
        ("a\0b", "x"),
        ("x" * 100_000, "x"),
        ("\ud800", "x"),
        ("m", "a <b@c>\ntagger evil"),
        ("m", ""),
        ("\n\n", "x"),
    ],
)
def test_what_people_write_cannot_break_a_tag(rig: Rig, sha: str, message: str, by: str) -> None:
    rig.repos.tag(NAME, make={"denied/1": Tag(sha, message, by, NOW)})
    assert rig.ref("refs/tags/denied/1") is not None
    assert rig.clean()


@pytest.mark.parametrize(
    "tag", ["../../heads/main", "proposal/x", "main", "-d/1", "a/1\ndelete refs/heads/main", ""]
)
def test_what_is_no_tag_of_an_approval_is_refused(rig: Rig, sha: str, tag: str) -> None:
    with pytest.raises(Invalid):
        rig.repos.tag(NAME, make={tag: Tag(sha)})
    with pytest.raises(Invalid):
        rig.repos.tag(NAME, make={}, drop=[tag])


def test_what_is_no_commit_is_refused(rig: Rig) -> None:
    with pytest.raises(Invalid):
        rig.repos.tag(NAME, make={"proposal/1": Tag("main")})
    with pytest.raises(Invalid):
        rig.repos.tag(NAME, make={}, main="HEAD")


def test_main_moves_with_its_tags_and_files(rig: Rig, sha: str) -> None:
    rig.repos.tag(NAME, make={"deployed/1": Tag(sha)}, main=sha)
    assert rig.repos.main(NAME) == rig.ref("refs/tags/deployed/1") == sha
    assert rig.files() == {"agent.toml": CONFIG}
    assert rig.git("status", "--porcelain") == ""


def test_what_main_leaves_is_kept(rig: Rig, sha: str) -> None:
    first = rig.repos.first(NAME)
    assert first is not None
    rig.repos.tag(NAME, make={}, main=first)
    byhand = rig.repos.adopt_edit(NAME, 'model = "haiku"\n')
    rig.repos.tag(NAME, make={}, main=sha)
    assert rig.ref(f"refs/hyperhive/pins/{byhand}") == byhand
    assert rig.repos.main(NAME) == sha


def test_main_is_read_from_packed_refs_too(rig: Rig, sha: str) -> None:
    rig.repos.tag(NAME, make={"deployed/1": Tag(sha)}, main=sha)
    rig.git("pack-refs", "--all")
    assert not (rig.applied / ".git/refs/heads/main").exists()
    assert rig.repos.main(NAME) == sha
    assert rig.repos.first(NAME) is not None


def test_locks_of_a_killed_daemon_are_no_obstacle(rig: Rig, sha: str) -> None:
    git = rig.applied / ".git"
    (git / "refs/tags/proposal").mkdir(parents=True)
    locks = [
        "refs/tags/proposal/1.lock",
        "refs/heads/main.lock",
        "HEAD.lock",
        "index.lock",
        "packed-refs.lock",
    ]
    for lock in locks:
        (git / lock).touch()
    rig.repos.tag(NAME, make={"proposal/1": Tag(sha)}, drop=["denied/7"], main=sha)
    assert rig.ref("refs/tags/proposal/1") == rig.repos.main(NAME) == sha
    assert not any((git / lock).exists() for lock in locks)


def test_a_new_daemon_reads_what_the_old_one_wrote(rig: Rig, sha: str) -> None:
    rig.repos.tag(NAME, make={"deployed/1": Tag(sha)}, main=sha)
    other = Repositories(home=rig.home)
    other.prepare(NAME, first=False)
    assert other.main(NAME) == sha
    assert other.first(NAME) == rig.repos.first(NAME)

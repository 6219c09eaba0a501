"""A pinned commit stays what it was, whatever the proposer does afterwards."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from hyperhive.errors import Invalid, Refused
from hyperhive.repos import housekeeping
from hyperhive.repos.quarantine import Quarantine
from hyperhive.repos.values import Pinned, Tag
from tests.repos.rig import CONFIG, NAME, Rig

pytestmark = pytest.mark.slow


def test_a_pinned_commit_comes_with_its_subject_and_config(rig: Rig) -> None:
    sha = rig.proposer.commit(
        {"agent.toml": CONFIG, "prompt.md": b"Be kind.\n"}, "Use the larger model\n\nWhy not"
    )
    assert rig.repos.pin(NAME, sha) == Pinned(sha=sha, summary="Use the larger model", config=CONFIG.decode())
    assert rig.ref(f"refs/hyperhive/pins/{sha}") == sha
    assert rig.repos.read(NAME, sha, "prompt.md", 100) == b"Be kind.\n"
    assert rig.clean()


def test_what_is_full_takes_no_more_and_says_who_makes_room(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.repos.pin(NAME, rig.proposer.commit({"agent.toml": CONFIG}))
    monkeypatch.setattr(housekeeping, "MAX_STORE", 500)
    with pytest.raises(Refused, match="the operator can make room"):
        rig.repos.pin(NAME, rig.proposer.commit({"agent.toml": CONFIG + b"# more\n"}))
    assert rig.clean()


def test_digits_may_be_few_and_large(rig: Rig) -> None:
    sha = rig.proposer.commit({"agent.toml": CONFIG})
    assert rig.repos.pin(NAME, sha[:7]).sha == sha
    assert rig.repos.pin(NAME, sha[:12].upper()).sha == sha


def test_pinning_again_is_the_same(rig: Rig) -> None:
    sha = rig.proposer.commit({"agent.toml": CONFIG})
    assert rig.repos.pin(NAME, sha) == rig.repos.pin(NAME, sha) == rig.repos.check(NAME, sha)


def test_a_commit_that_ran_before_can_be_proposed_again(rig: Rig) -> None:
    first = rig.proposer.head()
    rig.repos.pin(NAME, rig.proposer.commit({"agent.toml": CONFIG}))
    assert rig.repos.pin(NAME, first).sha == first


def test_the_proposers_history_comes_along(rig: Rig) -> None:
    shas = [rig.proposer.commit({"agent.toml": CONFIG, "n": b"%d\n" % n}, f"step {n}") for n in range(5)]
    rig.repos.pin(NAME, shas[-1])
    rig.repos.tag(NAME, make={}, main=shas[-1])
    assert [commit.summary for commit in rig.repos.log(NAME, limit=2)] == ["step 4", "step 3"]


def test_only_what_the_commit_needs_comes_along(rig: Rig) -> None:
    other = rig.proposer.commit({"secret": b"not proposed\n", "agent.toml": CONFIG})
    rig.proposer.git("reset", "-q", "--hard", "HEAD~1")
    sha = rig.proposer.commit({"agent.toml": CONFIG})
    rig.repos.pin(NAME, sha)
    with pytest.raises(Refused):
        rig.repos.check(NAME, other)


@pytest.mark.parametrize("swap", ["amend", "reset and gc", "delete the repository", "corrupt every object"])
def test_a_swap_after_pinning_changes_nothing(rig: Rig, swap: str) -> None:
    sha = rig.proposer.commit({"agent.toml": CONFIG, "prompt.md": b"good\n"})
    pinned = rig.repos.pin(NAME, sha)
    match swap:
        case "amend":
            (rig.proposer.folder / "prompt.md").write_bytes(b"evil\n")
            rig.proposer.git("commit", "-qa", "--amend", "-m", "evil")
        case "reset and gc":
            rig.proposer.git("reset", "-q", "--hard", "HEAD~1")
            rig.proposer.git(
                "-c", "gc.reflogExpireUnreachable=now", "reflog", "expire", "--expire=now", "--all"
            )
            rig.proposer.git("gc", "-q", "--prune=now")
        case "delete the repository":
            shutil.rmtree(rig.proposer.folder)
        case _:
            for path in (rig.proposer.folder / ".git/objects").glob("??/*"):
                path.chmod(0o600)
                path.write_bytes(b"evil")
    assert rig.repos.check(NAME, sha) == pinned
    rig.repos.tag(NAME, make={}, main=sha)
    assert rig.files() == {"agent.toml": CONFIG, "prompt.md": b"good\n"}


def test_packed_objects_and_deltas_can_be_pinned(rig: Rig) -> None:
    lines = [b"line %d of some text\n" % n for n in range(400)]
    for n in range(8):
        lines[n * 7] = b"changed %d\n" % n
        rig.proposer.commit({"agent.toml": CONFIG, "notes.md": b"".join(lines)})
    rig.proposer.git("repack", "-q", "-a", "-d", "-f", "--depth=50")
    rig.proposer.git("pack-refs", "--all")
    assert not list((rig.proposer.folder / ".git/objects").glob("??"))
    sha = rig.proposer.head()
    rig.repos.pin(NAME, sha)
    assert rig.repos.read(NAME, sha, "notes.md", 100_000) == b"".join(lines)
    assert rig.clean()


def test_a_history_of_many_objects_can_be_pinned(rig: Rig) -> None:
    stream = b""
    for n in range(300):
        stream += b"commit refs/heads/long\ncommitter m <m@b> %d +0000\ndata 1\nx\n" % n
        stream += b"M 644 inline agent.toml\ndata 4\na=%d\n" % (n % 10) if n < 299 else b""
    stream += b"M 644 inline agent.toml\ndata %d\n%s\n" % (len(CONFIG), CONFIG)
    rig.proposer.git("fast-import", "--quiet", data=stream)
    sha = rig.proposer.git("rev-parse", "long")
    assert rig.repos.pin(NAME, sha).config == CONFIG.decode()
    assert rig.git("rev-list", "--count", sha) == "300"
    assert rig.clean()


def test_many_objects_are_packed_in_time(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    shas = [
        rig.repos.pin(NAME, rig.proposer.commit({"agent.toml": CONFIG, "n": b"%d" % n})).sha for n in range(3)
    ]
    rig.repos.tag(NAME, make={"proposal/1": Tag(shas[0])}, main=shas[1])
    monkeypatch.setattr(housekeeping, "LOOSE", -1)
    left = rig.applied / ".git/objects/pack/tmp_pack_killed"
    left.write_bytes(b"PACK")
    shas.append(rig.repos.pin(NAME, rig.proposer.commit({"n": b"last"})).sha)
    assert not list((rig.applied / ".git/objects").glob("[0-9a-f][0-9a-f]/*"))
    assert not left.exists()
    assert [rig.repos.read(NAME, sha, "n", 10) for sha in shas] == [b"0", b"1", b"2", b"last"]
    assert (rig.repos.main(NAME), rig.ref("refs/tags/proposal/1")) == (shas[1], shas[0])
    assert rig.clean()


def test_a_refused_commit_leaves_nothing_behind(rig: Rig) -> None:
    sha = rig.proposer.commit({"agent.toml": b"nonsense = 1\n"})
    before = sorted(path for path in rig.applied.rglob("*"))
    with pytest.raises(Invalid, match=r"agent\.toml: nonsense: unknown key"):
        rig.repos.pin(NAME, sha)
    assert sorted(path for path in rig.applied.rglob("*")) == before
    assert rig.clean()


def test_what_a_killed_daemon_left_in_quarantine_is_swept(rig: Rig) -> None:
    left = Quarantine(folder=rig.root / ".repos", own=rig.applied / ".git/objects")
    left.__enter__()
    (left.objects / "ab").mkdir()
    rig.repos.prepare(NAME, first=True)
    assert rig.clean()
    left.__enter__()
    rig.repos.pin(NAME, rig.proposer.commit({"agent.toml": CONFIG}))
    assert rig.clean()


def test_several_can_pin_tag_and_read_at_once(rig: Rig) -> None:
    shas = [rig.proposer.commit({"agent.toml": CONFIG, "n": b"%d" % n}) for n in range(6)]

    def propose(number: int) -> str:
        sha = rig.repos.pin(NAME, shas[number]).sha
        rig.repos.tag(NAME, make={f"proposal/{number}": Tag(sha), f"denied/{number}": Tag(sha, "no")})
        return rig.repos.diff(NAME, None, sha)

    with ThreadPoolExecutor(6) as pool:
        diffs = list(pool.map(propose, range(6)))
    assert all(f"\n+{number}\n" in diff for number, diff in enumerate(diffs))
    assert [rig.ref(f"refs/tags/proposal/{number}") for number in range(6)] == shas
    assert rig.clean()


def test_a_check_refuses_a_commit_that_is_not_there(rig: Rig) -> None:
    sha = rig.proposer.commit({"agent.toml": CONFIG})
    with pytest.raises(Refused, match="submit it again"):
        rig.repos.check(NAME, sha)


def test_a_check_refuses_a_commit_whose_file_is_lost(rig: Rig) -> None:
    sha = rig.repos.pin(NAME, rig.proposer.commit({"agent.toml": b'model = "opus"\n'})).sha
    blob = rig.git("rev-parse", f"{sha}:agent.toml")
    (rig.applied / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(Refused, match=f"object {blob} is missing"):
        rig.repos.check(NAME, sha)


def test_the_hives_own_environment_does_not_reach_git(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", "/nonexistent")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.repositoryformatversion")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "99")
    repos = rig.repos
    sha = repos.first(NAME)
    assert sha is not None
    assert repos.pin(NAME, sha).sha == sha
    repos.tag(NAME, make={}, main=sha)
    assert repos.main(NAME) == sha

"""What is in ``applied/`` can be read, compared and told, within bounds."""

from datetime import UTC
from typing import Any

import pytest

from hyperhive.domain.diff import Change, parse
from hyperhive.errors import Invalid, Refused
from hyperhive.repos.git import Git, TooSlow
from hyperhive.repos.values import Tag
from tests.repos.rig import CONFIG, NAME, Rig

pytestmark = pytest.mark.slow


def pin(rig: Rig, files: dict[str, bytes | None], message: str = "Change it") -> str:
    return rig.repos.pin(NAME, rig.proposer.commit(files, message)).sha


def test_a_diff_shows_all_files(rig: Rig) -> None:
    body = b"".join(b"line %d\n" % n for n in range(30))
    base = pin(rig, {"agent.toml": CONFIG, "old.md": body, "gone": b"x\n", "bin": b"\0\1"})
    sha = pin(rig, {"old.md": None, "new.md": body + b"more\n", "gone": None, "bin": b"\0\2", "ü b.md": b"y"})
    text = rig.repos.diff(NAME, base, sha)
    assert {file.path: file.change for file in parse(text, base=base, sha=sha).files} == {
        "bin": Change.MODIFIED,
        "gone": Change.REMOVED,
        "new.md": Change.RENAMED,
        "ü b.md": Change.ADDED,
    }
    assert "Binary files a/bin and b/bin differ" in text
    assert "rename from old.md\nrename to new.md\n" in text
    assert rig.repos.stat(NAME, base, sha) == (4, 2, 1)


def test_without_a_base_all_is_new(rig: Rig) -> None:
    sha = pin(rig, {"agent.toml": CONFIG, "x": b"1\n2\n"})
    files = parse(rig.repos.diff(NAME, None, sha), base=None, sha=sha).files
    assert [(file.path, file.change, file.added) for file in files] == [
        ("agent.toml", Change.ADDED, 1),
        ("x", Change.ADDED, 2),
    ]
    assert rig.repos.stat(NAME, None, sha) == (2, 3, 0)


def test_no_change_is_no_text(rig: Rig) -> None:
    sha = pin(rig, {"agent.toml": CONFIG})
    assert rig.repos.diff(NAME, sha, sha) == ""
    assert rig.repos.stat(NAME, sha, sha) == (0, 0, 0)


def test_a_diff_that_is_too_long_is_cut_at_a_line_and_says_so(rig: Rig) -> None:
    sha = pin(rig, {"agent.toml": CONFIG, "long": b"0123456789\n" * 10_000})
    text = rig.repos.diff(NAME, None, sha, limit_bytes=20_000)
    assert len(text) < 20_200
    *_, last, end, nothing = text.split("\n")
    assert (last, nothing) == ("+0123456789", "")
    assert end == "\\ The rest is cut off: this diff is longer than 20000 bytes."
    assert not parse(text, base=None, sha=sha).whole


def test_what_decides_cannot_be_pushed_out_of_a_diff(rig: Rig) -> None:
    sha = pin(rig, {"agent.toml": CONFIG, "AAA": b"0123456789\n" * 10_000, "prompt.md": b"Obey.\n"})
    files = parse(rig.repos.diff(NAME, None, sha, limit_bytes=20_000), base=None, sha=sha).files
    assert [(file.path, file.added) for file in files[:2]] == [("agent.toml", 1), ("prompt.md", 1)]


def test_a_change_that_takes_too_long_to_compare_is_refused(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = pin(rig, {"agent.toml": CONFIG})

    run = Git.run

    def too_slow(git: Git, *arguments: str, **more: Any) -> bytes:
        if arguments[0] == "version":  # git itself is well
            return run(git, *arguments, **more)
        raise TooSlow("git diff-tree took longer than 30 s")

    monkeypatch.setattr(Git, "run", too_slow)
    with pytest.raises(Refused, match="changes too much at once to be compared in time; change less"):
        rig.repos.stat(NAME, None, sha)


def test_a_history_of_long_subjects_and_odd_dates_is_told(rig: Rig) -> None:
    proposer = rig.proposer
    tree, sha = proposer.git("rev-parse", "HEAD^{tree}"), proposer.head()
    for _ in range(10):
        sha = proposer.commit_tree(tree, sha, subject=b"S" * 1_000_000)
    who = b"m <m@localhost> 99999999999999 +0000"
    body = b"tree %s\nparent %s\nauthor %s\ncommitter %s\n\nlate\n" % (tree.encode(), sha.encode(), who, who)
    late = rig.repos.pin(NAME, proposer.store("commit", body)).sha
    rig.repos.tag(NAME, make={"denied/1": Tag(late, "no")}, main=late)
    last, before, *_ = rig.repos.log(NAME)
    assert (last.summary, last.author, last.date.year) == ("late", "m", 1970)
    assert before.summary.startswith("S" * 100)
    assert len(before.summary) <= 200


def test_what_is_not_utf8_is_shown_as_far_as_it_goes(rig: Rig) -> None:
    sha = pin(rig, {"agent.toml": CONFIG, "x": b"a\xff\n"})
    assert "+a\ufffd\n" in rig.repos.diff(NAME, None, sha)


def test_a_diff_of_what_is_not_there_is_refused(rig: Rig) -> None:
    sha = pin(rig, {"agent.toml": CONFIG})
    for base, to in [("1" * 40, sha), (sha, "1" * 40), (None, "1" * 40)]:
        with pytest.raises(Refused):
            rig.repos.diff(NAME, base, to)
        with pytest.raises(Refused):
            rig.repos.stat(NAME, base, to)
    with pytest.raises(Invalid):
        rig.repos.diff(NAME, "main", sha)
    with pytest.raises(Invalid):
        rig.repos.diff(NAME, None, "--output=/tmp/x")


def test_a_file_of_a_commit_is_read_within_a_limit(rig: Rig) -> None:
    sha = pin(rig, {"agent.toml": CONFIG, "a/b c": b"12345"})
    assert rig.repos.read(NAME, sha, "a/b c", 5) == b"12345"
    with pytest.raises(Refused, match="longer than 4 bytes"):
        rig.repos.read(NAME, sha, "a/b c", 4)
    for path in ("nothing", "a", "", "../x", "a/b c\n", "agent.toml/x", "-x", "x\0"):
        assert rig.repos.read(NAME, sha, path, 100) is None
    with pytest.raises(Refused):
        rig.repos.read(NAME, "1" * 40, "agent.toml", 100)


def test_the_history_is_what_was_deployed(rig: Rig) -> None:
    assert rig.repos.log(NAME) == ()
    sha = pin(rig, {"agent.toml": CONFIG}, "A \x1b[31mred\x1b[0m line\n\nbody")
    pin(rig, {"x": b"never deployed"})
    rig.repos.tag(NAME, make={"deployed/1": Tag(sha)}, main=sha)
    newest, oldest = rig.repos.log(NAME)
    assert (newest.sha, newest.summary, newest.author) == (sha, "A  [31mred [0m line", "manager")
    assert newest.date.tzinfo is UTC
    assert oldest.sha == rig.repos.first(NAME)
    assert rig.repos.summary(NAME, sha) == newest.summary


def test_a_subject_that_does_not_end_is_cut(rig: Rig) -> None:
    sha = pin(rig, {"agent.toml": CONFIG}, "x" * 5_000)
    assert rig.repos.summary(NAME, sha) == "x" * 200

"""Backup and restore as they are typed; what they do is tested in tests/archive."""

import json
import os
import signal
import stat
import threading
from pathlib import Path

import pytest

from tests.archive.rig import made
from tests.cli.conftest import Type
from tests.nobody import as_nobody


@pytest.fixture
def home(run_folder: Path, tmp_path: Path) -> Path:
    """The home that commands look into."""
    return made(tmp_path / "home", "alice")


def test_a_backup_says_what_is_in_it_and_what_is_not(home: Path, tmp_path: Path, type_: Type) -> None:
    file = tmp_path / "hive.tar.gz"
    typed = type_("backup", str(file))
    assert (typed.code, typed.err) == (0, "")
    first, second = typed.out.splitlines()
    assert first.startswith(f"{file}: 1 agent (alice) of {home}, ")
    assert first.endswith("KiB, read back and whole.")
    assert second == "Not in it: the operator's token, logins, environments. --secrets takes them along."
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "is there already" in type_("backup", str(file)).err


def test_a_backup_with_secrets_says_so(home: Path, tmp_path: Path, type_: Type) -> None:
    typed = type_("backup", str(tmp_path / "x"), "--secrets")
    assert "whoever reads it is let in" in typed.out
    found = json.loads(type_("backup", str(tmp_path / "y"), "--secrets", "--json").out)
    assert (found["agents"], found["logins"], found["secrets"], found["left_out"]) == (
        ["alice"],
        ["alice"],
        True,
        [],
    )
    assert found["bytes"] == (tmp_path / "y").stat().st_size


def test_a_restore_says_what_is_to_be_done_next(home: Path, tmp_path: Path, type_: Type) -> None:
    file, new = tmp_path / "x", tmp_path / "new"
    type_("backup", str(file))
    typed = type_("restore", str(file), "--home", str(new))
    assert (typed.code, typed.err) == (0, "")
    assert typed.out.startswith(f"{new}: 1 agent (alice) as of 20")
    assert f"It was in {home}: its generations stayed behind" in typed.out
    assert "'hyperhive login NAME'" in typed.out
    assert "Start this one with 'hyperhive up'" in typed.out
    again = type_("restore", str(file), "--home", str(new))
    assert (again.code, again.out) == (1, "")
    assert "is not empty" in again.err
    found = json.loads(type_("restore", str(file), "--home", str(tmp_path / "newer"), "--json").out)
    assert (found["agents"], found["moved"], found["secrets"]) == (["alice"], True, False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("backup",), "Missing: FILE. Usage: hyperhive backup FILE [--home DIR] [--secrets] [--json]"),
        (("restore",), "Missing: FILE. Usage: hyperhive restore FILE [--home DIR] [--json]"),
        (("backup", "-"), "FILE names a file, not '-'."),
        (("backup", "/tmp"), "FILE names a file, not '/tmp'."),
        (("restore", ""), "FILE names a file, not ''."),
        (("backup", "x", "y"), "Too many arguments: 'y' has no place."),
        (("restore", "x", "--secrets"), "'restore' has no option '--secrets'."),
        (("backup", "x", "--home", ""), "--home wants a folder."),
        (("backup", "x", "--home"), "--home wants a value."),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(type_: Type, words: tuple[str, ...], said: str) -> None:
    typed = type_(*words)
    assert (typed.code, typed.out) == (2, "")
    assert typed.err.startswith(f"hyperhive: {said}")
    assert typed.err.count("\n") == 1


def test_who_is_asked_to_end_it_leaves_nothing_half_made(
    home: Path, tmp_path: Path, type_: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(written: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(60)

    monkeypatch.setattr("hyperhive.archive.backup.examine", asked)
    (tmp_path / "to").mkdir()
    with pytest.raises(SystemExit) as caught:
        type_("backup", str(tmp_path / "to" / "x"))
    assert caught.value.code == 128 + signal.SIGTERM
    assert list((tmp_path / "to").iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize("words", [("backup", "x"), ("restore", "x"), ("up",)])
def test_the_home_of_a_user_who_is_not_there_is_told(type_: Type, words: tuple[str, ...]) -> None:
    typed = type_(*words, "--home", "~nobody-by-that-name/hive")
    assert (typed.code, typed.out) == (1, "")
    assert "~nobody-by-that-name/hive: that user has no home folder here; write the path" in typed.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_the_home_of_somebody_else_is_told(home: Path, tmp_path: Path, type_: Type) -> None:
    tmp_path.chmod(0o711)
    for parent in tmp_path.parents:
        if parent.name.startswith(("pytest-", "popen-")):
            parent.chmod(0o711)
    assert type_("backup", str(tmp_path / "mine")).code == 0  # which loads what nobody may not read
    assert type_("restore", str(tmp_path / "mine"), "--home", str(tmp_path / "again")).code == 0

    def ask() -> None:
        typed = type_("backup", str(tmp_path / "x"))
        assert typed.err == f"hyperhive: {home} may not be read by this user; run this as the hive's user.\n"
        typed = type_("restore", str(home / "x"), "--home", str(tmp_path / "new"))
        assert f"{home}/x was not restored: " in typed.err
        assert "Permission denied" in typed.err

    as_nobody(ask)


def test_without_a_hive_there_is_nothing_to_back_up(run_folder: Path, tmp_path: Path, type_: Type) -> None:
    typed = type_("backup", str(tmp_path / "x"))
    assert typed == (1, "", f"hyperhive: There is no hive in {tmp_path}/home; name its home with --home.\n")

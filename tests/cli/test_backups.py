"""Backup and restore as they are typed; what they do is tested in tests/archive."""

import json
import stat
from pathlib import Path

import pytest

from tests.archive.rig import made
from tests.cli.conftest import Type


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


def test_without_a_hive_there_is_nothing_to_back_up(run_folder: Path, tmp_path: Path, type_: Type) -> None:
    typed = type_("backup", str(tmp_path / "x"))
    assert typed == (1, "", f"hyperhive: There is no hive in {tmp_path}/home; name its home with --home.\n")

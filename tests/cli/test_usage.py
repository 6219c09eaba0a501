"""Wrong arguments, help, no daemon: exit codes and the one line on stderr."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hyperhive.cli.run import MAX_SAID
from hyperhive.cli.table import COMMANDS
from tests.cli.conftest import Type

TALKING = [
    (command.name, *("1" if word == "ID" else "alice" for word in command.args if not word.startswith("[")))
    for command in COMMANDS
    if command.name not in ("up", "doctor", "version", "completion", "help", "revise", "backup", "restore")
]


@pytest.mark.parametrize("words", TALKING, ids=lambda words: words[0])
def test_without_a_daemon_every_command_ends_with_3(
    run_folder: Path, type_: Type, words: tuple[str, ...]
) -> None:
    said = type_(*words)
    assert said.code == 3
    assert said.out == ""
    assert said.err.startswith(f"hyperhive: No hive runs here: nothing answers at {run_folder}/host.sock; ")
    assert said.err.count("\n") == 1


def test_a_socket_path_that_is_too_long_is_told(
    run_folder: Path, type_: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPERHIVE_RUN", "/tmp/" + "x" * 120)
    said = type_("list")
    assert (said.code, "107 bytes" in said.err) == (3, True)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("lst",), "Did you mean 'list'?"),
        (("list", "--jsn"), "Did you mean '--json'?"),
        (("list", "alice"), "Usage: hyperhive list [--json]"),
        (("start",), "Missing: NAME or --all. Usage: hyperhive start NAME|--all [--no-wait] [--json]"),
        (("start", "alice", "--all"), "exclude each other"),
        (("send", "alice"), "Missing: TEXT."),
        (("send", "alice", "hello", "there"), "Put quotes around"),
        (("list", "--json=yes"), "--json takes no value"),
        (("events", "--after"), "--after wants a value"),
        (("events", "--after", "-1"), "whole number"),
        (("logs", "alice", "--lines", "many"), "whole number"),
        (("up", "--port", "70000"), "from 0 to 65535"),
        (("up", "--runtime", "bubblwrap"), "Did you mean 'bubblewrap'?"),
        (("diff", "x"), "ID wants a whole number, not 'x'"),
        (("revise", "7"), "Usage: hyperhive revise ID --note TEXT [--json]"),
        (("decided", "--limit", "0"), "from 1 to 500, not '0'"),
        (("decided", "--limit", "501"), "from 1 to 500, not '501'"),
        (("completion", "tcsh"), "bash, zsh, fish"),
        (("help", "lst"), "no command 'lst'"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_how_it_is_typed(
    run_folder: Path, type_: Type, words: tuple[str, ...], hint: str
) -> None:
    said = type_(*words)
    assert said.code == 2
    assert hint in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("words", [("list",), ("up",), ("backup", "x")], ids=lambda words: words[0])
def test_a_folder_that_was_deleted_under_the_command_is_told(
    type_: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setenv("HYPERHIVE_RUN", "run")
    said = type_(*words)
    assert (said.code, said.out) == (1, "")
    assert "the current folder was deleted; change to another" in said.err
    assert said.err.count("\n") == 1


def test_a_mistyped_argument_cannot_steer_the_terminal(run_folder: Path, type_: Type) -> None:
    assert "\x1b" not in type_("\x1b[2J").err


@pytest.mark.parametrize("words", [("help",), ("--help",), ("-h",)])
def test_help_lists_every_command(run_folder: Path, type_: Type, words: tuple[str, ...]) -> None:
    said = type_(*words)
    assert said.code == 0
    assert all(f"  {command.name}" in said.out for command in COMMANDS)


def test_no_command_shows_help_and_is_wrong_usage(run_folder: Path, type_: Type) -> None:
    said = type_()
    assert (said.code, "spawn NAME" in said.out) == (2, True)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_each_command_has_help_of_its_own(run_folder: Path, type_: Type, command: object) -> None:
    name = getattr(command, "name", "")
    said = type_(name, "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: hyperhive {name}")


def test_the_version_is_told_without_a_daemon(run_folder: Path, type_: Type) -> None:
    assert type_("--version").out == type_("version").out
    assert type_("version").out.startswith("hyperhive 0.")


def test_settings_that_are_wrong_are_told_by_name(
    run_folder: Path, type_: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPERHIVE_TICK", "soon")
    said = type_("up")
    assert (said.code, "Setting 'tick'" in said.err) == (2, True)


def test_however_long_what_was_typed_is_the_line_about_it_is_not(run_folder: Path, type_: Type) -> None:
    said = type_("x" * 100_000)
    assert (said.code, len(said.err), said.err[-2:]) == (2, len("hyperhive: ") + MAX_SAID + 2, "…\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("help <&- >&-", 0, ""),
        ("nope <&- >&- 2>&-", 2, ""),
        ("send alice - <&-", 3, "hyperhive: No hive runs here"),
        ("help >/dev/full", 1, "hyperhive: The output cannot be read or written: No space left on device.\n"),
    ],
)
def test_a_closed_or_full_standard_stream_is_no_fault_of_the_programs(
    run_folder: Path, words: str, code: int, said: str
) -> None:
    program = "import sys; from hyperhive.cli import main; sys.exit(main())"
    script = f"exec {shlex.quote(sys.executable)} -c {shlex.quote(program)} {words}"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr[: len(said) or None]) == (code, said)


HALF = """
import sys
from hyperhive.cli import run
from hyperhive.cli.errors import CommandError

def half(words):
    print("half of it")
    raise CommandError("The rest failed.")

run._dispatch = half
sys.exit(run.run([]))
"""


def test_what_went_wrong_is_said_though_what_was_printed_before_it_is_lost() -> None:
    # -E: whatever PYTHONUNBUFFERED says
    script = f"exec {shlex.quote(sys.executable)} -E -c {shlex.quote(HALF)} >/dev/full"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "hyperhive: The rest failed.\n")

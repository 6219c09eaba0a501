"""doctor: each thing a newcomer trips over, found and explained."""

import json
import os
import socket
from pathlib import Path

import pytest

from hyperhive.cli import checks
from hyperhive.cli.checks import Level
from hyperhive.runtimes.base import Probe
from tests.cli.conftest import Type
from tests.cli.served import ServedHive


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A Claude Code that answers at once and a port that is free; runtimes are really tried."""
    claude = tmp_path / "claude"
    claude.write_text("#!/bin/sh\necho '9.8.7 (Claude Code)'\n")
    claude.chmod(0o755)
    monkeypatch.setenv("HYPERHIVE_CLAUDE", str(claude))
    monkeypatch.setenv("HYPERHIVE_PORT", "0")
    for name in ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return claude


def test_it_works_without_a_daemon_and_explains_every_runtime(
    run_folder: Path, type_: Type, quick: Path
) -> None:
    said = type_("doctor")
    assert said.code == 0
    for subject in (
        "python",
        "git",
        "daemon",
        "home",
        "claude code",
        "runtime bubblewrap",
        "runtime process",
    ):
        assert subject in said.out
    assert "not running" in said.out
    assert "the hive would be a rehearsal" in said.out
    assert said.out.endswith("A hive can run here.\n")


def test_its_json_carries_every_check(run_folder: Path, type_: Type, quick: Path) -> None:
    told = json.loads(type_("doctor", "--json").out)
    assert told["ok"] is True
    assert {"name", "level", "text", "fix"} == set(told["checks"][0])


def test_what_keeps_a_hive_from_running_ends_with_1(
    run_folder: Path, type_: Type, quick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick.write_text("#!/bin/sh\nexit 1\n")
    said = type_("doctor")
    assert said.code == 1
    assert "is no Claude Code" in said.out
    monkeypatch.setenv("HYPERHIVE_TICK", "soon")
    said = type_("doctor")
    assert (said.code, "tick" in said.out) == (1, True)


@pytest.mark.parametrize("variable", ["HYPERHIVE_HOME", "HYPERHIVE_RUN"])
def test_settings_that_lead_nowhere_are_a_check_that_fails(
    run_folder: Path, type_: Type, quick: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "~nobody-of-that-name/hive")
    said = type_("doctor")
    assert (said.code, said.err) == (1, "")
    assert "that user has no home folder here; write the path in full" in said.out


def test_a_file_of_settings_that_cannot_be_read_is_a_check_that_fails(
    run_folder: Path, type_: Type, quick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(file: Path) -> object:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr("hyperhive.settings._from_file", refused)
    said = type_("doctor")
    assert (said.code, said.err) == (1, "")
    assert "hyperhive.toml cannot be read: Permission denied" in said.out
    assert "run this as the hive's user, or set HYPERHIVE_HOME" in said.out


def test_a_running_hive_says_whether_it_rehearses(served: ServedHive, quick: Path) -> None:
    assert "REHEARSAL" in checks.running().text


def test_credentials_are_named_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret-value")
    folder = tmp_path / "agents/alice/claude"
    folder.mkdir(parents=True)
    (folder / ".credentials.json").write_text(json.dumps({"claudeAiOauth": {"accessToken": "secret-token"}}))
    found = checks.credentials(tmp_path, rehearse=False)
    assert found.level is Level.OK
    assert "ANTHROPIC_API_KEY" in found.text
    assert "login of alice" in found.text
    assert "secret" not in found.text
    assert "not used" in checks.credentials(tmp_path, rehearse=True).text


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"claudeAiOauth": null}', '{"claudeAiOauth": {}}'])
def test_credentials_without_a_token_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: Path, content: str
) -> None:
    folder = tmp_path / "agents/alice/claude"
    folder.mkdir(parents=True)
    (folder / ".credentials.json").write_text(content)
    assert checks.credentials(tmp_path, rehearse=False).level is Level.WARN


def test_a_port_in_use_fails_unless_the_hive_itself_has_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        assert checks.port("127.0.0.1", number, taken_by_us=False).level is Level.FAIL
        assert checks.port("127.0.0.1", number, taken_by_us=True).level is Level.OK
    assert checks.port("127.0.0.1", 0, taken_by_us=False).level is Level.OK
    assert checks.port("203.0.113.1", 0, taken_by_us=False).level is Level.FAIL


def test_a_home_that_cannot_be_made_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert checks.folder("home", tmp_path / "file/home", needs=0).level is Level.FAIL
    assert checks.folder("home", tmp_path / "new/home", needs=0).level is Level.OK
    assert checks.folder("home", tmp_path, needs=2**62).level is Level.WARN


@pytest.mark.parametrize("planted", ["pipe", "link", "large"])
def test_what_an_agent_planted_as_its_login_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: Path, planted: str
) -> None:
    folder = tmp_path / "agents/alice/claude"
    folder.mkdir(parents=True)
    login = json.dumps({"claudeAiOauth": {"accessToken": "x"}})
    match planted:
        case "pipe":
            os.mkfifo(folder / ".credentials.json")
        case "link":
            (tmp_path / "elsewhere").write_text(login)
            (folder / ".credentials.json").symlink_to(tmp_path / "elsewhere")
        case "large":
            (folder / ".credentials.json").write_text(login + " " * 1_000_000)
    assert checks.credentials(tmp_path, rehearse=False).level is Level.WARN


@pytest.mark.parametrize(("length", "level"), [(20, Level.OK), (100, Level.FAIL)])
def test_the_run_folder_must_leave_room_for_the_sockets(length: int, level: Level) -> None:
    assert checks.sockets(Path("/" + "r" * length), Path("/home")).level is level


def test_no_hive_starts_without_a_git_that_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert checks.git().level is Level.OK
    monkeypatch.setenv("PATH", str(tmp_path))
    found = checks.git()
    assert (found.level, "not on PATH" in found.text, "install git" in found.fix) == (Level.FAIL, True, True)
    (tmp_path / "git").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "git").chmod(0o755)
    found = checks.git()
    assert (found.level, "does not work" in found.text) == (Level.FAIL, True)


class Walled:
    """A runtime that works or does not."""

    def __init__(self, name: str, *, works: bool, confined: bool = True) -> None:
        self.name = name
        self.confined = confined
        self._works = works

    def probe(self) -> Probe:
        return Probe(
            self._works, "" if self._works else "no user namespaces", "" if self._works else "sysctl"
        )


@pytest.mark.parametrize(
    ("wanted", "works", "level"),
    [
        ("auto", True, Level.OK),
        ("auto", False, Level.FAIL),
        ("walled", True, Level.OK),
        ("walled", False, Level.FAIL),
        ("nspawn", True, Level.FAIL),
    ],
)
def test_runtimes_fail_when_what_is_wanted_does_not_work(
    monkeypatch: pytest.MonkeyPatch, wanted: str, works: bool, level: Level
) -> None:
    runtimes = (Walled("walled", works=works),)
    monkeypatch.setattr("hyperhive.runtimes.choose.all_runtimes", lambda: runtimes)
    assert checks.runtimes(wanted)[-1].level is level

"""Commands that need this machine: up, login, shell, open, completion."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from hyperhive.cli import credentials
from hyperhive.domain.approvals import Kind
from hyperhive.domain.views import ApprovalView, DraftView
from hyperhive.errors import Refused
from hyperhive.settings import Settings
from tests.cli.conftest import Type
from tests.cli.served import ServedHive
from tests.fakes.samples import NOON

HYPERHIVE = [sys.executable, "-c", "import sys; from hyperhive.cli import main; sys.exit(main())"]


def put_claude(folder: Path, *lines: str) -> None:
    """Have these lines of shell be Claude Code."""
    script = folder / "claude"
    script.write_text("\n".join(("#!/bin/sh", *lines, "")))
    script.chmod(0o755)


@pytest.fixture
def claude(tmp_path: Path) -> Callable[[int], None]:
    """A Claude Code that writes down how it was called, leaves credentials and ends with a code."""

    def put(code: int) -> None:
        put_claude(
            tmp_path,
            f'echo "$@ ${{ANTHROPIC_API_KEY-none}} $(ls -A "$CLAUDE_CONFIG_DIR")" > {tmp_path}/called',
            'echo token > "$CLAUDE_CONFIG_DIR/.credentials.json"',
            f"exit {code}",
        )

    return put


def test_login_runs_claudes_own_and_puts_the_credentials_into_the_agents_folder(
    served: ServedHive,
    type_: Type,
    claude: Callable[[int], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-of-somebody-else")
    claude(0)
    said = type_("login", "alice")
    assert said.code == 0
    assert (tmp_path / "called").read_text() == "auth login none \n"
    assert (tmp_path / ".credentials.json").read_text() == "token\n"
    assert stat.S_IMODE((tmp_path / ".credentials.json").stat().st_mode) == 0o600
    assert "REHEARSAL" in said.out
    assert "start it again without --rehearse" in said.out


def test_what_an_agent_puts_into_its_folder_neither_steers_a_login_nor_leads_it_elsewhere(
    served: ServedHive, type_: Type, claude: Callable[[int], None], tmp_path: Path
) -> None:
    claude(0)
    (tmp_path / "settings.json").write_text('{"env": {"BROWSER": "/state/evil"}}')
    (tmp_path / "mine").write_text("precious")
    (tmp_path / ".credentials.json").symlink_to(tmp_path / "mine")
    assert type_("login", "alice").code == 0
    assert (tmp_path / "called").read_text() == "auth login none \n"
    assert not (tmp_path / ".credentials.json").is_symlink()
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_login_that_is_not_completed_is_a_failure(
    served: ServedHive, type_: Type, claude: Callable[[int], None], tmp_path: Path
) -> None:
    claude(1)
    said = type_("login", "alice")
    assert (said.code, "was not completed" in said.err) == (1, True)
    assert not (tmp_path / ".credentials.json").exists()


def test_a_login_that_nobody_sees_does_not_wait_for_ever(
    served: ServedHive, type_: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_claude(tmp_path, "exec sleep 600")
    monkeypatch.setattr(credentials, "UNATTENDED", 0.2)
    said = type_("login", "alice")
    assert (said.code, "run this in a terminal" in said.err) == (1, True)
    assert not (tmp_path / ".credentials.json").exists()


def test_a_login_whose_terminal_is_closed_leaves_no_credentials_behind(
    served: ServedHive, type_: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_claude(
        tmp_path, 'echo token > "$CLAUDE_CONFIG_DIR/.credentials.json"', "kill -HUP $PPID", "exec sleep 600"
    )
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    with pytest.raises(SystemExit) as caught:
        type_("login", "alice")
    assert caught.value.code == 128 + signal.SIGHUP
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not (tmp_path / ".credentials.json").exists()


def test_a_login_that_cannot_be_put_away_is_told(
    served: ServedHive, type_: Type, claude: Callable[[int], None], tmp_path: Path
) -> None:
    claude(0)
    (tmp_path / ".credentials.json" / "in the way").mkdir(parents=True)
    said = type_("login", "alice")
    assert (said.code, "could not be put into" in said.err) == (1, True)
    assert [file.name for file in tmp_path.glob(".credentials.json*")] == [".credentials.json"]


def test_a_login_wants_the_agents_folder_and_a_claude(
    served: ServedHive, type_: Type, tmp_path: Path
) -> None:
    assert type_("login", "bob").code == 1
    assert "could not be started" in type_("login", "alice").err


def test_a_login_is_the_daemons_users_alone(
    served: ServedHive, type_: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    said = type_("login", "alice")
    assert (said.code, "as the daemon's user" in said.err) == (1, True)


def test_shell_becomes_the_command_that_enters_the_container(served: ServedHive) -> None:
    done = subprocess.run([*HYPERHIVE, "shell", "alice"], capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (7, b"inside\n")


def test_a_shell_wants_an_agent_that_exists(served: ServedHive, type_: Type) -> None:
    assert type_("shell", "bob").code == 1


class Daemon(ModuleType):
    """A daemon that notes what it was started with."""

    def __init__(self, outcome: int | Exception) -> None:
        super().__init__("hyperhive.start")
        self.given: list[tuple[Settings, bool]] = []
        self.outcome = outcome

    def run(self, settings: Settings, *, open_browser: bool) -> int:
        self.given.append((settings, open_browser))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def test_up_hands_its_flags_to_the_daemon(
    run_folder: Path, type_: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = Daemon(0)
    monkeypatch.setitem(sys.modules, "hyperhive.start", daemon)
    flags = ("--home", str(tmp_path), "--port", "0", "--runtime", "process", "--rehearse", "--no-browser")
    assert type_("up", *flags).code == 0
    settings, browser = daemon.given[0]
    assert (settings.home, settings.port, settings.runtime, settings.rehearse) == (
        tmp_path,
        0,
        "process",
        True,
    )
    assert not browser
    assert not settings.public


def test_up_tells_why_the_daemon_refused(
    run_folder: Path, type_: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hyperhive.start", Daemon(Refused("Another hive runs; stop it.")))
    assert type_("up") == (1, "", "hyperhive: Another hive runs; stop it.\n")


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (
            b"port = = 3",
            1,
            "hyperhive.toml cannot be read: Invalid value (at line 1, column 8); correct the file",
        ),
        (b"name = '\xff'", 1, "hyperhive.toml cannot be read: 'utf-8' codec"),
        (b"prot = 3", 2, "Setting 'prot': there is no such setting; see docs/operate.md"),
        (b"builds = 'many'", 2, "Setting 'builds': give a whole number from 1 to 64"),
        (b"turn_deadline = inf", 2, "Setting 'turn_deadline': give seconds, more than 0 to 604800"),
        (b"tick = nan", 2, "Setting 'tick': "),
        (b"home = ''", 2, "Setting 'home': it is empty; name a folder"),
        (b'run = "/x/\\u001b[31m"', 2, "Setting 'run': it holds characters that are not printable"),
    ],
)
def test_settings_that_cannot_be_read_are_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, type_: Type, content: bytes, code: int, said: str
) -> None:
    monkeypatch.setitem(sys.modules, "hyperhive.start", daemon := Daemon(0))
    for name in ("HYPERHIVE_HOME", "HYPERHIVE_RUN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("hyperhive.settings.default_home", lambda: tmp_path / "hyperhive")
    (tmp_path / "hyperhive").mkdir()
    (tmp_path / "hyperhive" / "hyperhive.toml").write_bytes(content)
    typed = type_("up")
    assert (typed.code, typed.out, typed.err.count("\n")) == (code, "", 1)
    assert said in typed.err
    assert daemon.given == []


def test_a_home_that_this_user_may_not_read_is_told(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, type_: Type
) -> None:
    def refused(file: Path) -> object:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setitem(sys.modules, "hyperhive.start", daemon := Daemon(0))
    monkeypatch.setattr("hyperhive.settings._from_file", refused)
    typed = type_("up", "--home", "/somebody/elses")
    assert (typed.code, typed.out) == (1, "")
    assert typed.err == (
        "hyperhive: /somebody/elses/hyperhive.toml cannot be read: Permission denied; "
        "run this as the hive's user, or choose another --home.\n"
    )
    assert daemon.given == []


def test_a_variable_that_cannot_be_read_is_told_in_one_line(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, type_: Type
) -> None:
    monkeypatch.setitem(sys.modules, "hyperhive.start", daemon := Daemon(0))
    monkeypatch.setenv("HYPERHIVE_ALLOWED_HOSTS", "no list")
    typed = type_("up")
    assert (typed.code, typed.err.count("\n")) == (2, 1)
    assert "allowed_hosts" in typed.err
    assert daemon.given == []


def test_the_commands_look_where_the_daemon_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    from hyperhive.cli.wire import run_folder
    from hyperhive.settings import default_run

    environments: tuple[dict[str, str], ...] = (
        {},
        {"HYPERHIVE_RUN": "/somewhere/else"},
        {"HYPERHIVE_RUN": "relative/folder"},
        {"HYPERHIVE_RUN": "~/hive"},
        {"XDG_RUNTIME_DIR": "/run/user/1000"},
    )
    for user in (0, 1000):
        for env in environments:
            with monkeypatch.context() as patch:
                patch.setattr(os, "geteuid", lambda user=user: user)
                for name in ("HYPERHIVE_RUN", "XDG_RUNTIME_DIR"):
                    patch.delenv(name, raising=False)
                for name, value in env.items():
                    patch.setenv(name, value)
                assert run_folder() == str(default_run()), (user, env)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(run_folder: Path, type_: Type, shell: str) -> None:
    said = type_("completion", shell)
    assert said.code == 0
    assert "restart" in said.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["re"], {"restart", "restore", "resume", "revise"}),
        (["backup", "--s"], {"--secrets"}),
        (["restore", "{folder}/back"], {"{folder}/backup.tar", "{folder}/backup-2.tar"}),
        (["stop", ""], {"--all", "--no-wait", "--json", "manager", "alice"}),
        (["stop", "al"], {"alice"}),
        (["discard", ""], {"--yes", "--json", "surveyor"}),
        (["propose", ""], {"--note", "--json", "manager", "alice", "surveyor"}),
        (["approve", ""], {"--note", "--json", "3"}),
        (["diff", "3", "--against", ""], {"running", "proposal", "approved"}),
        (["draft", ""], {"--json"}),
        (["history", "man"], {"manager"}),
        (["completion", ""], {"bash", "zsh", "fish"}),
        (["list", "--"], {"--json"}),
    ],
)
def test_bash_completes_commands_options_and_names(
    served: ServedHive, type_: Type, tmp_path: Path, words: list[str], expected: set[str]
) -> None:
    draft = DraftView(name="surveyor", created=NOON, by="manager")
    asked = ApprovalView(id=3, kind=Kind.SPAWN, agent="scribe", requested_by="manager", requested=NOON)
    served.do(lambda hive: hive._set(drafts=(draft,), approvals=(asked,)))
    program = tmp_path / "hyperhive"
    program.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c 'from hyperhive.cli import main; main()' \"$@\"\n"
    )
    program.chmod(0o755)
    for name in ("backup.tar", "backup-2.tar", "other"):
        (tmp_path / name).touch()
    typed = " ".join(f"'{word}'" for word in ("hyperhive", *words)).replace("{folder}", str(tmp_path))
    ask = f'COMP_WORDS=({typed}); COMP_CWORD={len(words)}; _hyperhive; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(
        ["bash", "-c", f"{type_('completion', 'bash').out}\n{ask}"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert {word.replace(str(tmp_path), "{folder}") for word in done.stdout.split()} == expected, done.stderr

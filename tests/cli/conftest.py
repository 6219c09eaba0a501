"""A served hive, and the command line as a test types it."""

import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from hyperhive.cli import main
from tests.cli.served import ServedHive, Server
from tests.fakes.hive import FakeHive
from tests.fakes.samples import snapshot


class Said(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


Type = Callable[..., Said]


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The run folder that commands look into; nothing listens there. Its path is short, as sockets want it."""
    temporary = tempfile.TemporaryDirectory(prefix="hive-")
    monkeypatch.setenv("HYPERHIVE_RUN", temporary.name)
    monkeypatch.setenv("HYPERHIVE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_COLOR", "1")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with temporary as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One server for all tests: starting and ending one takes longer than most of them."""
    with tempfile.TemporaryDirectory(prefix="hive-") as run, Server(run=Path(run)) as running:
        yield running


@pytest.fixture
def served(server: Server, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServedHive:
    """A hive with manager and alice, whose operations end well by themselves."""
    monkeypatch.setenv("HYPERHIVE_RUN", str(server.run))
    hive = FakeHive(snapshot("manager", "alice"), settle=0.01)
    return ServedHive(hive=hive, server=server, claude_folder=tmp_path, claude=tmp_path / "claude")


@pytest.fixture
def type_(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Type:
    """Type a command line, in this process: ``type_("send", "alice", "hello", stdin="…")``."""

    def typed(*words: str, stdin: str = "") -> Said:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capsys.readouterr()
        code = main(list(words))
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return typed

"""A machine that is out of descriptors for a while: who connects meanwhile waits, and the log says it in a line."""

import errno
from pathlib import Path

import pytest

from hyperhive.mcp import sockets
from hyperhive.mcp.sockets import McpSockets
from tests.fakes.hive import FakeHive
from tests.mcp.test_sockets import Line, works


class Short:
    """Loads nothing for so many tries."""

    def __init__(self, tries: int) -> None:
        self._tries = tries
        self._load = sockets._line_session

    def __call__(self) -> object:
        if self._tries:
            self._tries -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self._load()


async def test_who_connects_before_the_sdk_can_be_loaded_waits_for_it(
    hive: FakeHive, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "AGAIN", 0.01)
    monkeypatch.setattr(sockets, "_line_session", Short(3))
    doors = McpSockets(hive=hive, run=run)
    await doors.open("alice", "agent")
    assert await works(run / "agents/alice/mcp.sock")
    await doors.aclose()


async def test_who_waits_too_long_for_it_is_let_go_with_one_line_in_the_log(
    hive: FakeHive, run: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sockets, "LOAD_DEADLINE", 0.0)
    monkeypatch.setattr(sockets, "_line_session", Short(1))
    doors = McpSockets(hive=hive, run=run)
    await doors.open("alice", "agent")
    line = await Line.to(run / "agents/alice/mcp.sock")
    assert await line.closed()
    line.writer.close()
    assert "An MCP connection of 'alice' ended: [Errno 24] Too many open files." in caplog.text
    assert "Traceback" not in caplog.text
    assert await works(run / "agents/alice/mcp.sock")
    await doors.aclose()

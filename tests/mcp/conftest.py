"""A hive to talk to, and every way to it."""

import tempfile
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from tests.fakes.hive import FakeHive
from tests.fakes.samples import snapshot
from tests.mcp.doors import MODES, Connect, Mode, in_memory, over_http, over_socket


@pytest.fixture
def hive() -> FakeHive:
    """A manager and two agents; operations end at once."""
    return FakeHive(snapshot("manager", "alice", "bob"), settle=0.0)


@pytest.fixture
def run() -> Iterator[Path]:
    """A folder for sockets, short enough for their paths."""
    with tempfile.TemporaryDirectory(prefix="hh-") as folder:
        yield Path(folder)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Mode:
    """Both protocol generations."""
    chosen: Mode = request.param
    return chosen


@pytest.fixture(params=["memory", "socket"])
def connect(request: pytest.FixtureRequest, hive: FakeHive, run: Path, mode: Mode) -> Connect:
    """Connects as an agent, the manager or (over HTTP) the operator, in both generations."""

    def to(caller: str, **options: Any) -> AbstractAsyncContextManager[Client]:
        if request.param == "memory":
            return in_memory(hive, caller, mode, **options)
        if caller == "operator":
            return over_http(hive, mode, **options)
        return over_socket(hive, run, caller, mode, **options)

    return to

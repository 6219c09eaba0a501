"""What a crowd costs the daemon: memory of an idle stream client, and of a thousand agents and a thousand clients."""

import contextlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path

from bench.hives import running
from bench.measure import Goal, Row
from hyperhive.home import raise_open_files
from tests.e2e.hive import RealHive
from tests.waiting import eventually

CLIENTS = 1_000
AGENTS = 1_000
_BUDGET = 16.0


def rows() -> Iterator[Row]:
    """Proportional set size of the real daemon, before and after."""
    raise_open_files()
    with running() as real:
        idle = _settled(real)
        with contextlib.ExitStack() as crowd:
            for thousand in (1, 2):
                _connect(real, crowd, CLIENTS)
                each = (_settled(real) - idle) / (thousand * CLIENTS)
                name = f"memory of an idle client, {thousand * CLIENTS} of them"
                yield Row(name, each, _BUDGET, "KiB", "a budget", Goal(ratio=1))
    with running(stopped=AGENTS) as real, contextlib.ExitStack() as crowd:
        agents = _settled(real)
        yield Row(f"{AGENTS} agents that are stopped", agents / 1024, idle / 1024, "MiB", "the idle daemon")
        _connect(real, crowd, CLIENTS)
        both = _settled(real)
        name = f"{AGENTS} agents, {CLIENTS} clients"
        yield Row(name, both / 1024, idle / 1024, "MiB", "the idle daemon", Goal(ratio=1.8))


def _connect(real: RealHive, crowd: contextlib.ExitStack, count: int) -> None:
    """Open so many streams and wait until all are live."""
    head = ["GET /api/events HTTP/1.1", f"Host: 127.0.0.1:{real.port}", f"Authorization: Bearer {real.token}"]
    request = "\r\n".join([*head, "Accept: text/event-stream", "", ""]).encode()
    wanted = _readers(real) + count
    for _ in range(count):
        client = crowd.enter_context(socket.create_connection(("127.0.0.1", real.port), timeout=60))
        client.sendall(request)
        said = b""
        while b": hyperhive" not in said:
            said += client.recv(4096)
    eventually(lambda: _readers(real) == wanted, 60)


def _readers(real: RealHive) -> int:
    found = re.search(r"^hyperhive_stream_readers (\d+)$", real.http.get("/metrics").text, re.MULTILINE)
    assert found
    return int(found.group(1))


def _settled(real: RealHive) -> float:
    """KiB of the daemon's own, once it does not change any more."""
    assert real.daemon
    daemon, last = real.daemon.pid, [0.0] * 5

    def still() -> bool:
        real.http.get("/api/state").raise_for_status()
        last.append(_pss(daemon))
        return max(last[-5:]) - min(last[-5:]) < 64

    eventually(still, 60)
    return last[-1]


def _pss(pid: int) -> float:
    found = re.search(r"^Pss:\s+(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found
    return float(found.group(1))

"""The daemon and a crowd of stream clients: it stops with them, and runs on when they leave it no descriptors."""

import json
import re
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from hyperhive.home import raise_open_files
from tests.e2e.hive import RealHive, hive
from tests.e2e.processes import Process
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

CROWD = 1_000
DESCRIPTORS = 192
END = b"0\r\n\r\n"


class FullHouse(RealHive):
    """A hive that may have few files open."""

    def starting(self, flags: list[str]) -> list[str]:
        """The daemon under a limit of open files."""
        return ["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}", *super().starting(flags)]


@contextmanager
def many_files() -> Iterator[None]:
    """As many open files as this process may have."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    raise_open_files()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def ask(real: RealHive) -> socket.socket:
    """A connection that has asked for a stream."""
    head = ["GET /api/events HTTP/1.1", f"Host: 127.0.0.1:{real.port}", f"Authorization: Bearer {real.token}"]
    client = socket.create_connection(("127.0.0.1", real.port), timeout=60)
    client.sendall("\r\n".join([*head, "", ""]).encode())
    return client


def readers(real: RealHive) -> int:
    found = re.search(r"^hyperhive_stream_readers (\d+)$", real.http.get("/metrics").text, re.MULTILINE)
    assert found
    return int(found.group(1))


def rest(client: socket.socket) -> bytes:
    """What comes until the end."""
    parts = []
    while data := client.recv(65536):
        parts.append(data)
    return b"".join(parts)


def test_it_ends_with_a_thousand_streams_open_and_tells_each_reader_while_containers_run_on() -> None:
    with hive() as real, many_files(), ExitStack() as stack:
        real.up()
        real.shows("manager", ready=True, transient=None)
        leader = real.leader("manager")
        crowd = [stack.enter_context(ask(real)) for _ in range(CROWD)]
        eventually(lambda: readers(real) == CROWD, 60)
        took = real.down()
        assert (
            took < 20
        )  # two seconds where nothing else runs; a request that hangs would be given three alone
        for client in crowd:
            said = rest(client)
            assert said.startswith(b"HTTP/1.1 200 ")
            assert said.endswith(END)
        assert leader.alive
        assert "Exception" not in real.complaints()


def test_supervision_and_messages_go_on_when_streams_leave_no_descriptors() -> None:
    with hive(kind=FullHouse) as real, many_files():
        real.up()
        real.shows("manager", ready=True, transient=None)
        leader = real.leader("manager")
        with ExitStack() as crowd:
            inside = [crowd.enter_context(ask(real)) for _ in range(DESCRIPTORS + 50)]
            eventually(lambda: "No new connections for now" in real.complaints(), 60)
            assert inside[0].recv(64).startswith(b"HTTP/1.1 200 ")
            leader.kill()
            eventually(lambda: runs_anew(real, leader), 60)
            real.cli("send", "manager", "tell operator: still here")
            answered = "SELECT count(*) FROM messages WHERE sender = 'manager' AND recipient = 'operator'"
            eventually(lambda: real.rows(answered) != [(0,)], 60)
        with ask(real):
            eventually(lambda: readers(real) == 1, 60)
        assert "Traceback" not in real.complaints()


def runs_anew(real: RealHive, former: Process) -> bool:
    """Whether the manager works again, in another container; asked over the command line's own door."""
    shown = json.loads(real.cli("show", "manager", "--json"))
    return bool(shown["container"] == "running" and shown["ready"] and shown["pid"] != former.pid)

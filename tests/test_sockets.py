"""Many sockets under one watch: who is let in, who is told, and what happens when descriptors run out."""

import asyncio
import errno
import select
import socket
from contextlib import closing
from pathlib import Path

import pytest

from hyperhive import sockets
from hyperhive.sockets import Listener, Watch
from tests.waiting import eventually_async


class Taken:
    """Keeps who came."""

    def __init__(self) -> None:
        self.connections: list[socket.socket] = []

    def connected(self, connection: socket.socket) -> None:
        self.connections.append(connection)

    def close(self) -> None:
        for connection in self.connections:
            connection.close()


class Short(socket.socket):
    """A listening socket on a machine that is out of descriptors, for so many tries."""

    fails = 3

    def accept(self) -> tuple[socket.socket, object]:
        if self.fails:
            self.fails -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


class Faulty:
    """Fails whenever its socket is ready."""

    told = 0

    def ready(self, events: int) -> None:
        self.told += 1
        raise RuntimeError("a bug")


@pytest.fixture
def watch() -> Watch:
    return Watch()


def bound(path: Path, kind: type[socket.socket] = socket.socket) -> socket.socket:
    made = kind(socket.AF_UNIX)
    made.bind(str(path))
    return made


async def dial(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(made, str(path))
    except OSError:
        made.close()
        raise
    return made


async def test_each_socket_leads_to_who_listens_on_it(watch: Watch, tmp_path: Path) -> None:
    taken = [Taken() for _ in range(5)]
    listening = [
        Listener(watch=watch, bound=bound(tmp_path / str(number)), takes=one)
        for number, one in enumerate(taken)
    ]
    callers = [await dial(tmp_path / str(number)) for number in (3, 3, 1)]
    await eventually_async(lambda: [len(one.connections) for one in taken] == [0, 1, 0, 2, 0])
    for listener in listening:
        listener.close()
    for one in taken:
        one.close()
    for caller in callers:
        caller.close()


async def test_nobody_is_let_in_where_nobody_listens_any_more(watch: Watch, tmp_path: Path) -> None:
    taken = Taken()
    listener = Listener(watch=watch, bound=bound(tmp_path / "s"), takes=taken)
    listener.close()
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        await dial(tmp_path / "s")
    assert not taken.connections


async def test_who_knocks_while_descriptors_are_short_is_let_in_afterwards(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sockets, "AGAIN", 0.01)
    taken = Taken()
    listener = Listener(watch=watch, bound=bound(tmp_path / "s", Short), takes=taken)
    with closing(await dial(tmp_path / "s")):
        await eventually_async(lambda: taken.connections)
    assert caplog.text.count("cannot be let in") == 1
    listener.close()
    taken.close()


async def test_who_is_let_in_after_a_shortage_needs_no_descriptor_but_its_own(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left() -> select.epoll:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(sockets, "AGAIN", 0.01)
    taken = Taken()
    listener = Listener(watch=watch, bound=bound(tmp_path / "s", Short), takes=taken)  # the only one there is
    monkeypatch.setattr(select, "epoll", none_left)
    with closing(await dial(tmp_path / "s")):
        await eventually_async(lambda: taken.connections)
    listener.close()
    taken.close()


async def test_a_listener_that_closes_while_descriptors_are_short_stays_closed(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sockets, "AGAIN", 0.01)
    listener = Listener(watch=watch, bound=bound(tmp_path / "s", Short), takes=Taken())
    with closing(await dial(tmp_path / "s")):
        await eventually_async(lambda: "cannot be let in" in caplog.text)
        listener.close()
        other = Taken()
        following = Listener(watch=watch, bound=bound(tmp_path / "t"), takes=other)
        with closing(await dial(tmp_path / "t")):
            await eventually_async(lambda: other.connections)
    following.close()
    other.close()


async def test_a_socket_whose_owner_fails_is_watched_no_more_and_the_others_are(
    watch: Watch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = socket.socketpair()
    faulty, taken = Faulty(), Taken()
    watch.on(ours.fileno(), select.EPOLLIN, faulty)
    theirs.send(b"x")
    listener = Listener(watch=watch, bound=bound(tmp_path / "s"), takes=taken)
    with closing(await dial(tmp_path / "s")):
        await eventually_async(lambda: taken.connections and faulty.told)
    assert faulty.told == 1 and "a bug" in caplog.text
    listener.close()
    taken.close()
    ours.close()
    theirs.close()

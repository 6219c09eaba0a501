"""Redis with appendfsync always: every command it answers is on the disk, as ours is."""

import asyncio
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

from bench.peers import peer

_STARTED = 10.0
PAUSE = 0.002
"""Seconds in which a taker has surely begun to wait."""


class Redis:
    """A server of our own on a unix socket, its append-only file beside what it is compared with.

    Args:
        folder: on the disk that is measured; a short path.
    """

    def __init__(self, program: str, folder: Path) -> None:
        self._socket = str(folder / "redis")
        options = {
            "port": "0",
            "unixsocket": self._socket,
            "dir": str(folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "auto-aof-rewrite-percentage": "0",
        }
        arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
        self._process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)
        end = time.monotonic() + _STARTED
        while True:
            try:
                self.connect().close()
                return
            except OSError:
                if time.monotonic() > end or self._process.poll() is not None:
                    raise
                time.sleep(0.02)

    def connect(self) -> socket.socket:
        """A connection."""
        link = socket.socket(socket.AF_UNIX)
        link.connect(self._socket)
        return link

    def pairs(self, senders: int, each: int, body: bytes) -> float:
        """LPUSH and RPOP in turn on as many connections; pairs a second.

        One loop that only hands prepared bytes back and forth: it answers far faster than the server syncs.
        """
        poll = select.epoll()
        links: dict[int, tuple[socket.socket, Iterator[bytes]]] = {}
        for number in range(senders):
            key, link = b"k%d" % number, self.connect()
            commands = (_command(b"LPUSH", key, body), _command(b"RPOP", key))
            links[link.fileno()] = (link, islice(cycle(commands), 2 * each))
            poll.register(link.fileno(), select.EPOLLIN)
        began = time.perf_counter()
        for link, steps in links.values():
            link.send(next(steps))
        while links:
            for descriptor, _ in poll.poll():
                link, steps = links[descriptor]
                assert not link.recv(65536).startswith((b"-", b"$-1")), "redis refused"
                if (step := next(steps, None)) is not None:
                    link.send(step)
                else:
                    poll.unregister(descriptor)
                    links.pop(descriptor)[0].close()
        poll.close()
        return senders * each / (time.perf_counter() - began)

    async def wake(self, rounds: int, body: bytes) -> list[float]:
        """Seconds from RPUSH to what a waiting BLPOP gets, both on the loop that runs this."""
        loop = asyncio.get_running_loop()
        taker, giver = self.connect(), self.connect()
        for link in (taker, giver):
            link.setblocking(False)
        took = []
        for _ in range(rounds):
            await loop.sock_sendall(taker, _command(b"BLPOP", b"wake", b"0"))
            waiting = asyncio.create_task(loop.sock_recv(taker, 65536))
            await asyncio.sleep(PAUSE)
            began = time.perf_counter()
            await loop.sock_sendall(giver, _command(b"RPUSH", b"wake", body))
            assert body in await waiting
            took.append(time.perf_counter() - began)
            await loop.sock_recv(giver, 100)
        taker.close()
        giver.close()
        return took

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(_STARTED)


def redis(folder: Path) -> Redis | None:
    """The server, where it is installed."""
    program = peer("redis-server", ["redis-server"])
    return Redis(program, folder) if program else None


def _command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)

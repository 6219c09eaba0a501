"""Durable messages, power-loss safe, against the disk's fdatasync and redis that syncs every command.

Measured is what those who use the hive get: ``Mail`` on the event loop, over the bridge to the Broker, the Store and
the hub, with the agents on the board. Beside it the same through the Broker's mailbox by threads, and what such
threads reach with nothing but a queue, a lock each and a thread that syncs.
"""

import asyncio
import os
import queue
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.measure import Goal, Row, interleaved
from bench.post import PostOffice
from bench.redis_peer import PAUSE, Redis, redis
from hyperhive.actors.broker import Recv, Send
from hyperhive.actors.reply import Waiter
from hyperhive.domain.messages import Message

SENDERS = 16
PAIRS = 100
ROUNDS = 7
WAKES = 60
_BODY = "x" * 200
_MEMORY = ("tmpfs", "ramfs")


def rows() -> Iterator[Row]:
    """Pairs of send and receive a second; how even it is; how fast who waits gets it."""
    with tempfile.TemporaryDirectory(prefix="hh-", dir=_disk()) as name:
        folder = Path(name)
        with PostOffice(folder, SENDERS) as office, asyncio.Runner() as runner, ExitStack() as after:
            if (peer := redis(folder)) is not None:
                after.callback(peer.close)
            runner.run(office.opened())
            yield from _throughput(office, runner, folder, peer)
            yield from _threads(office, folder)
            if peer is not None:
                yield _latency(office, runner, peer)


def _throughput(
    office: PostOffice, runner: asyncio.Runner, folder: Path, peer: Redis | None
) -> Iterator[Row]:
    times: list[float] = []

    def ours(senders: int) -> float:
        rate, each = runner.run(_pairs(office, senders))
        if senders == SENDERS:
            times.append(min(each) / max(each))
        return rate

    sync = folder / "file"
    for senders, goal in ((SENDERS, Goal(ratio=4, sense="at least")), (1, None)):
        rate, floor = interleaved(lambda n=senders: ours(n), lambda: _fdatasyncs(sync), ROUNDS)  # type: ignore[misc]  # binds
        yield Row(f"durable send+receive, {_senders(senders)}", rate, floor, "per s", "fdatasync", goal)
    yield Row(
        "the slowest of 16 senders",
        statistics.median(times) * 100,
        100,
        "%",
        "the fastest",
        Goal(ratio=0.9, sense="at least"),
    )
    if peer is not None:
        rate, floor = interleaved(
            lambda: ours(SENDERS), lambda: peer.pairs(SENDERS, PAIRS, _BODY.encode()), ROUNDS
        )
        goal = Goal(ratio=3, sense="at least")
        yield Row("durable send+receive, 16 senders", rate, floor, "per s", "redis, always", goal)


def _threads(office: PostOffice, folder: Path) -> Iterator[Row]:
    def ours() -> float:
        return _in_threads(lambda number: _exchange(office, f"a{number}"))

    for against, floor in (
        ("fdatasync", lambda: _fdatasyncs(folder / "file")),
        ("threads, a queue and fdatasync", lambda: _bare(folder / "file")),
    ):
        rate, other = interleaved(ours, floor, ROUNDS)
        yield Row("durable send+receive, 16 threads", rate, other, "per s", against)


def _latency(office: PostOffice, runner: asyncio.Runner, peer: Redis) -> Row:
    took, floor = interleaved(
        lambda: statistics.median(runner.run(_wakes(office))),
        lambda: statistics.median(runner.run(peer.wake(WAKES, _BODY.encode()))),
        ROUNDS,
    )
    return Row(
        "send → a waiting recv returns", took * 1e6, floor * 1e6, "µs", "redis BLPOP, always", Goal(ratio=1)
    )


async def _pairs(office: PostOffice, senders: int) -> tuple[float, list[float]]:
    began = time.perf_counter()
    each = await asyncio.gather(*(_turns(office, f"a{number}") for number in range(senders)))
    return senders * PAIRS / (time.perf_counter() - began), each


async def _turns(office: PostOffice, name: str) -> float:
    began = time.perf_counter()
    for _ in range(PAIRS):
        await office.mail.send(sender="operator", to=name, body=_BODY)
        assert await office.mail.recv(name, wait=0, limit=1)
    return time.perf_counter() - began


async def _wakes(office: PostOffice) -> list[float]:
    took = []
    for _ in range(WAKES):
        waiting = asyncio.create_task(office.mail.recv("a0", wait=30, limit=1))
        await asyncio.sleep(PAUSE)
        began = time.perf_counter()
        sending = asyncio.create_task(office.mail.send(sender="operator", to="a0", body=_BODY))
        assert await waiting
        took.append(time.perf_counter() - began)
        await sending
    return took


def _exchange(office: PostOffice, name: str) -> None:
    for _ in range(PAIRS):
        sent: Waiter[Message] = Waiter()
        office.broker.tell(Send("operator", name, _BODY, sent))
        sent.get(30)
        got: Waiter[tuple[Message, ...]] = Waiter()
        office.broker.tell(Recv(next(office.room.tokens), name, 1, 0.0, got))
        assert got.get(30)


def _in_threads(work: Callable[[int], None]) -> float:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(SENDERS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return SENDERS * PAIRS / (time.perf_counter() - began)


def _bare(path: Path) -> float:
    """The same to and fro; what is asked for is done by syncing once for all that ask."""
    asked: queue.SimpleQueue[tuple[bool, threading.Lock] | None] = queue.SimpleQueue()

    def client(_: int) -> None:
        answered = threading.Lock()
        answered.acquire()
        for _ in range(PAIRS):
            for durable in (True, False):
                asked.put((durable, answered))
                answered.acquire()

    server = threading.Thread(target=_serve, args=(asked, path))
    server.start()
    rate = _in_threads(client)
    asked.put(None)
    server.join()
    return rate


def _serve(asked: "queue.SimpleQueue[tuple[bool, threading.Lock] | None]", path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    while (first := asked.get()) is not None:
        batch = [first]
        while not asked.empty():
            if (more := asked.get()) is not None:
                batch.append(more)
        if any(durable for durable, _ in batch):
            os.pwrite(fd, b"x" * 4096, 0)
            os.fdatasync(fd)
        for _, answered in batch:
            answered.release()
    os.close(fd)


def _fdatasyncs(path: Path) -> float:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    began = time.perf_counter()
    for _ in range(200):
        os.pwrite(fd, b"x" * 4096, 0)
        os.fdatasync(fd)
    took = time.perf_counter() - began
    os.close(fd)
    return 200 / took


def _senders(count: int) -> str:
    return "1 sender" if count == 1 else f"{count} senders"


def _disk() -> Path:
    """A folder on a disk: in memory fdatasync costs nothing, and nothing would be measured."""
    places = (Path(tempfile.gettempdir()), Path(__file__).resolve().parent)
    return next((place for place in places if _kind(place) not in _MEMORY), places[-1])


def _kind(place: Path) -> str:
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    under = [(len(at), kind) for at, kind in mounts if place.resolve().is_relative_to(at)]
    return max(under)[1] if under else ""

"""Durable messages, power-loss safe, against the disk's fdatasync."""

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Row, interleaved
from hyperhive.actors.address import Address
from hyperhive.actors.broker import Broker, Recv, Send, WaitingRoom
from hyperhive.actors.hub import Committed
from hyperhive.actors.reply import Waiter
from hyperhive.actors.roster import Roster
from hyperhive.actors.store import Store
from hyperhive.actors.watcher import Watcher
from hyperhive.domain.messages import Message
from hyperhive.domain.records import Intended
from hyperhive.store.database import Database

SENDERS = 16
PAIRS = 100
_BODY = "x" * 200


class _Visible:
    """Stands where the EventHub does: answers at once."""

    def tell(self, message: object) -> None:
        assert isinstance(message, Committed)
        for reply, value in message.replies:
            reply.set(value)


def rows() -> Iterator[Row]:
    """Pairs of send and receive a second with 16 senders, and with one."""
    with tempfile.TemporaryDirectory(prefix="hyperhive-bench-") as folder:
        database = Database(Path(folder) / "hive.sqlite")
        database.open()
        with database.transaction() as tx:
            for number in range(SENDERS):
                tx.agents.insert(f"a{number}", "agent", Intended.STOPPED)
        watcher = Watcher()
        watcher.start()
        store, broker = Address("store"), Address("broker")
        refs = [
            Store.start(database=database, hub=_Visible(), address=store, failed=print),
            Broker.start(
                store=store, roster=Roster(), room=WaitingRoom(), timers=watcher, address=broker, failed=print
            ),
        ]
        for senders in (SENDERS, 1):
            ours, floor = interleaved(
                lambda n=senders: _pairs(broker, n), lambda: _fdatasyncs(Path(folder) / "file"), 5
            )
            yield Row(f"durable send+receive, {senders} senders", ours, floor, "per s", "fdatasync")
        for ref in refs:
            ref.stop()
        watcher.stop()
        database.close()


def _pairs(broker: Address, senders: int) -> float:
    threads = [threading.Thread(target=_exchange, args=(broker, f"a{number}")) for number in range(senders)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return senders * PAIRS / (time.perf_counter() - began)


def _exchange(broker: Address, name: str) -> None:
    for token in range(PAIRS):
        sent: Waiter[Message] = Waiter()
        broker.tell(Send("operator", name, _BODY, sent))
        sent.get(30)
        got: Waiter[tuple[Message, ...]] = Waiter()
        broker.tell(Recv(token, name, 1, 0.0, got))
        assert got.get(30)


def _fdatasyncs(path: Path) -> float:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    began = time.perf_counter()
    for _ in range(200):
        os.pwrite(fd, b"x" * 4096, 0)
        os.fdatasync(fd)
    took = time.perf_counter() - began
    os.close(fd)
    return 200 / took

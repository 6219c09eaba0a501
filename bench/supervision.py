"""From an actor's crash to its successor's answer, against starting a bare thread that answers."""

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.measure import Row, interleaved
from hyperhive.actors.address import Address
from hyperhive.actors.base import Actor
from hyperhive.actors.reply import Reply, Waiter
from hyperhive.actors.roster import Post, Roster
from hyperhive.actors.supervisor import Add, Root
from hyperhive.actors.watcher import Watcher
from hyperhive.domain.policy import RestartPolicy

STORM = 1_000
_PATIENT = RestartPolicy(intensity=1_000_000, healthy=0.0)


@dataclass(frozen=True, slots=True)
class _Crash:
    """Fail on this."""


@dataclass(frozen=True, slots=True)
class _Ask:
    """Answer this."""

    reply: Reply[bool]


class _Child(Actor):
    def handle(self, message: Any) -> None:
        match message:
            case _Ask(reply):
                reply.set(True)
            case _:
                raise RuntimeError("as ordered")


def _start(*, address: Address, failed: Any, attempt: int, error: str | None) -> object:
    return _Child.start(address=address, failed=failed)


def rows() -> Iterator[Row]:
    """One crash, and a storm."""
    watcher = Watcher()
    watcher.start()
    root = Root(roster=Roster(), timers=watcher)
    root.start()
    addresses = [Address(f"child-{number}") for number in range(STORM)]
    for address in addresses:
        added: Waiter[None] = Waiter()
        root.address.tell(Add(Post(name=address.name, address=address, start=_start, policy=_PATIENT), added))
        added.get(5)
    try:
        for name, crowd, rounds in (("one crash", addresses[:1], 101), ("a storm", addresses, 5)):
            ours, floor = interleaved(lambda c=crowd: _crash(c), lambda c=crowd: _threads(len(c)), rounds)
            yield Row(f"{name} of {len(crowd)} → all answer", ours * 1e6, floor * 1e6, "µs", "bare threads")
    finally:
        root.stop()
        watcher.stop()


def _crash(addresses: list[Address]) -> float:
    began = time.perf_counter()
    waiters: list[Waiter[bool]] = []
    for address in addresses:
        waiter: Waiter[bool] = Waiter()
        address.tell(_Crash())
        address.tell(_Ask(waiter))  # waits in the mailbox for the successor
        waiters.append(waiter)
    for waiter in waiters:
        waiter.get(30)
    return time.perf_counter() - began


def _threads(count: int) -> float:
    began = time.perf_counter()
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
    for _ in range(count):
        threading.Thread(target=answers.put, args=(True,), daemon=True).start()
    for _ in range(count):
        answers.get(timeout=30)
    return time.perf_counter() - began

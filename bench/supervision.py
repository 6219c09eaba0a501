"""From an actor's crash to its successor's answer, one and a storm, against a supervisor of Erlang/OTP."""

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from bench.helper import Helper
from bench.measure import Goal, Row, interleaved
from bench.peers import peer
from hyperhive.actors.address import Address
from hyperhive.actors.crew import Crew, CrewActor
from hyperhive.actors.reply import Reply, Waiter
from hyperhive.actors.roster import Post, Roster
from hyperhive.actors.supervisor import Add, Root
from hyperhive.actors.watcher import Watcher
from hyperhive.domain.policy import RestartPolicy

STORM = 1_000
_GOAL = Goal(ratio=12.0)
_PATIENT = RestartPolicy(intensity=1_000_000, healthy=0.0)
_SETTLE = 0.02
"""Seconds between the two sides: Erlang's schedulers spin a little after their work."""


@dataclass(frozen=True, slots=True)
class _Crash:
    """Fail on this."""


@dataclass(frozen=True, slots=True)
class _Ask:
    """Answer this."""

    reply: Reply[bool]


class _Child(CrewActor):
    def handle(self, message: Any) -> None:
        match message:
            case _Ask(reply):
                reply.set(True)
            case _:
                raise RuntimeError("as ordered")


def rows() -> Iterator[Row]:
    """One crash, and a storm; on both sides nothing is logged."""
    escript = peer("escript", ["erlang-base"])
    with ExitStack() as stack:
        ours = stack.enter_context(_Ours())
        otp = stack.enter_context(_Otp(escript)) if escript else None
        for name, crowd, times, rounds in (("one crash", 1, 51, 15), ("a storm", STORM, 1, 9)):
            of_ours = partial(ours.crash, crowd, times)
            crash, floor = interleaved(of_ours, partial(_threads, crowd, times), 5)
            yield Row(f"{name} of {crowd} → all answer", crash * 1e6, floor * 1e6, "µs", "bare threads")
            if otp is not None:
                crash, floor = interleaved(of_ours, partial(otp.crash, crowd, times), rounds)
                yield Row(f"{name} of {crowd} → all answer", crash * 1e6, floor * 1e6, "µs", "OTP", _GOAL)


class _Ours:
    """A supervisor and its children."""

    def __init__(self) -> None:
        self._watcher = Watcher()
        self._root = Root(roster=Roster(), timers=self._watcher)
        self._crew = Crew()
        self._addresses = [Address(f"child-{number}") for number in range(STORM)]

    def __enter__(self) -> "_Ours":
        self._watcher.start()
        self._root.start()
        for address in self._addresses:
            added: Waiter[None] = Waiter()
            post = Post(name=address.name, address=address, start=self._child, policy=_PATIENT)
            self._root.address.tell(Add(post, added))
            added.get(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._root.stop()
        self._watcher.stop()
        self._crew.close()

    def _child(self, *, address: Address, failed: Any, attempt: int, error: str | None) -> object:
        return _Child.start(crew=self._crew, address=address, failed=failed)

    def crash(self, count: int, times: int) -> float:
        """Seconds until so many have crashed and their successors answered; the median of so many times."""
        time.sleep(_SETTLE)
        return statistics.median(self._crash(self._addresses[:count]) for _ in range(times))

    @staticmethod
    def _crash(crowd: list[Address]) -> float:
        began = time.perf_counter()
        for address in crowd:
            address.tell(_Crash())
        waiters: list[Waiter[bool]] = []
        for address in crowd:
            waiter: Waiter[bool] = Waiter()
            address.tell(_Ask(waiter))  # waits in the mailbox for the successor
            waiters.append(waiter)
        for waiter in waiters:
            waiter.get(30)
        return time.perf_counter() - began


class _Otp(Helper):
    """The same under OTP, in a process of its own."""

    def __init__(self, escript: str) -> None:
        super().__init__([escript, str(Path(__file__).with_name("otp.escript")), str(STORM)])

    def __enter__(self) -> Self:
        assert self.hear() == "ready"
        return self

    def crash(self, count: int, times: int) -> float:
        """Seconds, by its own clock; the median of so many times."""
        time.sleep(_SETTLE)
        self.tell(f"{count} {times}")
        return float(self.hear()) / 1e6


def _threads(count: int, times: int) -> float:
    """Seconds until so many bare threads were started and have answered; the median of so many times."""
    return statistics.median(_started(count) for _ in range(times))


def _started(count: int) -> float:
    answers: list[int] = []
    done = threading.Event()

    def answer() -> None:
        answers.append(1)
        if len(answers) == count:
            done.set()

    began = time.perf_counter()
    for _ in range(count):
        threading.Thread(target=answer, daemon=True).start()
    done.wait(30)
    return time.perf_counter() - began

"""From kill -9 of a container to what is seen of it: by the watcher, and at a reader of the stream."""

import json
import os
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.helper import Helper
from bench.hives import running
from bench.measure import Goal, Row
from hyperhive.actors.watcher import Watcher
from hyperhive.runtimes.spawned import handle_of
from tests.e2e.hive import RealHive

KILLS = 101
CRASHES = 25
OTHERS = 1_000
"""Processes that are watched beside the one that is killed."""
BUDGET = 0.025
"""Seconds from a kill to its frame at a reader."""
_DEADLINE = 60.0

_WAITER = """
import os, sys, time
for line in sys.stdin:
    pid = os.posix_spawn("/bin/sleep", ["sleep", "600"], {})
    print(pid, flush=True)
    os.waitpid(pid, 0)
    print(time.monotonic(), flush=True)
"""
"""A process that does nothing but wait for its child."""

_KILLER = """
import os, sys, time
for line in sys.stdin:
    began = time.monotonic()
    os.kill(int(line), 9)
    print(began, flush=True)
"""
"""Kills from outside, as ``kill`` does: who notices does nothing else meanwhile."""


def rows() -> Iterator[Row]:
    """Noticed in the daemon, against a process that does nothing but wait; and told to a reader."""
    seen, waited = _noticed()
    yield Row("kill -9 → noticed", seen * 1e6, waited * 1e6, "µs", "waitpid", Goal(ratio=1.5))
    with running(agents=1) as real:
        told = statistics.median(_told(real, "a0"))
    yield Row("kill -9 → frame at an SSE client", told * 1e3, BUDGET * 1e3, "ms", "budget", Goal(ratio=1.0))


def _helper(script: str) -> Helper:
    return Helper([sys.executable, "-I", "-S", "-c", script])


def _noticed() -> tuple[float, float]:
    """Medians in seconds: the watcher's, among many that it watches, and of who blocks in waitpid; same kills."""
    watcher = Watcher()
    watcher.start()
    others = [os.posix_spawn("/bin/sleep", ["sleep", "600"], {}) for _ in range(OTHERS)]
    with ExitStack() as stack:
        stack.callback(watcher.stop)
        stack.callback(_end, others)
        for pid in others:
            _watch(watcher, pid, lambda: None)
        waiter, killer = stack.enter_context(_helper(_WAITER)), stack.enter_context(_helper(_KILLER))
        pairs = [_kill(watcher, waiter, killer) for _ in range(KILLS)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def _kill(watcher: Watcher, waiter: Helper, killer: Helper) -> tuple[float, float]:
    """Seconds from one kill to both notices of it."""
    waiter.tell("")
    pid, note = int(waiter.hear()), _Note()
    _watch(watcher, pid, note)
    time.sleep(0.01)  # all three are asleep again
    killer.tell(pid)
    assert note.there.wait(_DEADLINE)
    began = float(killer.hear())
    return note.at - began, float(waiter.hear()) - began


@dataclass(eq=False)
class _Note:
    """When it was called."""

    at: float = 0.0
    there: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> None:
        self.at = time.monotonic()
        self.there.set()


def _watch(watcher: Watcher, pid: int, then: Callable[[], None]) -> None:
    handle = handle_of("bench", pid)
    assert handle is not None
    watcher.leader(handle, then)


def _end(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


# -- told


def _told(real: RealHive, name: str) -> Iterator[float]:
    """Seconds from each kill of an agent's leader to the frame of it at a reader."""
    for _ in range(CRASHES):
        pid = int(real.agent(name)["pid"])
        with real.http.stream("GET", "/api/events?kinds=container_crash", timeout=_DEADLINE) as stream:
            lines = stream.raise_for_status().iter_lines()
            next(lines)
            began = time.perf_counter()
            os.kill(pid, signal.SIGKILL)
            event = next(json.loads(line[6:]) for line in lines if line.startswith("data: {"))
            yield time.perf_counter() - began
        assert event["agent"] == name
        real.shows(name, ready=True, transient=None, container="running")
        real.post(f"/api/agents/{name}/resume")  # forgets the crash: no backoff, no quarantine

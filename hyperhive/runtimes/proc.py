"""Processes of this host by pid and start time, read from ``/proc``. A pid alone names nothing for long."""

import errno
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


@cache
def boot_id() -> str:
    """The host's boot id; another one after every reboot."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


class Stat(NamedTuple):
    """What ``/proc/PID/stat`` says: command, state letter, parent, start time in clock ticks since boot."""

    comm: str
    state: str
    ppid: int
    start_ticks: int

    @property
    def dead(self) -> bool:
        """Whether it has ended and only waits for its parent."""
        return self.state in "ZX"


def stat(pid: int) -> Stat | None:
    """The process's stat; ``None`` when there is none by that number."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return Stat(head.partition("(")[2], fields[0], int(fields[1]), int(fields[19]))


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; ``None`` when there is none by that number."""
    found = stat(pid)
    return found.start_ticks if found is not None else None


def is_alive(pid: int, ticks: int) -> bool:
    """Whether the process that started at ``ticks`` still runs: no zombie, no later one with its number."""
    found = stat(pid)
    return found is not None and not found.dead and found.start_ticks == ticks


def pids() -> Iterator[int]:
    """All process numbers."""
    for entry in os.listdir(PROC):  # noqa: PTH208 - names are all that is wanted, hundreds of times
        if entry.isdigit():
            yield int(entry)


def children(pid: int) -> tuple[int, ...]:
    """The process's children, oldest first."""
    try:
        text = (PROC / str(pid) / "task" / str(pid) / "children").read_text()
    except OSError:
        # Gone, or a kernel without CONFIG_PROC_CHILDREN.
        found = [(s.start_ticks, p) for p in pids() if (s := stat(p)) is not None and s.ppid == pid]
        return tuple(p for _, p in sorted(found))
    return tuple(int(word) for word in text.split())


def inner_pid(pid: int) -> int | None:
    """The process's number in its own pid namespace."""
    try:
        text = (PROC / str(pid) / "status").read_text(errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return None


def cmdline(pid: int) -> tuple[bytes, ...]:
    """The process's command line; empty for one that has ended."""
    try:
        return tuple((PROC / str(pid) / "cmdline").read_bytes().split(b"\0")[:-1])
    except OSError:
        return ()


def executed(parent: int, child: int) -> bool:
    """Whether a living ``child`` runs something else by now than the copy of ``parent`` that it began as."""
    found = cmdline(child)  # empty for a zombie
    return bool(found) and found != cmdline(parent)


def has_env(pid: int, entry: bytes) -> bool:
    """Whether the process was started with ``entry`` (``NAME=value``) in its environment.

    What may not be read counts as no.
    """
    return entry in environ(pid).split(b"\0")


def environ(pid: int) -> bytes:
    """What the process was started with as its environment; empty when that may not be read.

    Raises:
        OSError: no descriptors are left, so that nobody knows.
    """
    try:
        return (PROC / str(pid) / "environ").read_bytes()
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        return b""


def marked(entry: bytes) -> tuple[int, ...]:
    """The processes that still run and were started with ``entry`` in their environment."""
    return tuple(pid for pid in pids() if has_env(pid, entry) and (s := stat(pid)) is not None and not s.dead)


def send(pid: int, ticks: int, number: int) -> bool:
    """Send a signal to exactly that process; ``False`` when it has ended."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        # The descriptor holds the process; only now does a look at its start time prove who it is.
        if not is_alive(pid, ticks):
            return False
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def wait_end(pid: int, ticks: int, *, timeout: float) -> bool:
    """Wait until the process has ended, at most ``timeout`` seconds; whether it has."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return not is_alive(pid, ticks)
    try:
        if not is_alive(pid, ticks):
            return True
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        return bool(poller.poll(max(0.0, timeout) * 1000)) or not is_alive(pid, ticks)
    finally:
        os.close(fd)


def freeze_and_kill(find: Callable[[], Iterable[int]], *, deadline: float) -> bool:
    """End all processes that ``find`` finds, also while they fork; whether none is left.

    Each round stops what it finds, so that nothing forks on; what is stopped is killed once a round finds
    nothing new.

    Args:
        find: the processes to end, as they are now.
        deadline: seconds until it is given up.
    """
    until = time.monotonic() + deadline
    stopped: set[int] = set()
    while found := set(find()):
        fresh = found - stopped
        _signal_all(fresh, signal.SIGSTOP)
        stopped = (stopped & found) | fresh
        if not fresh:
            _signal_all(found, signal.SIGKILL)
            time.sleep(0.005)
        if time.monotonic() > until:
            return False
    return True


def _signal_all(targets: Iterable[int], number: int) -> None:
    for pid in targets:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)

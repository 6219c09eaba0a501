"""Processes of this machine as a test sees them: who came of whom, who is still there."""

import contextlib
import os
import signal
from dataclasses import dataclass

from hyperhive.runtimes import proc


@dataclass(frozen=True, slots=True)
class Process:
    """One process, never a later one with its number."""

    pid: int
    ticks: int

    @property
    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        return proc.is_alive(self.pid, self.ticks)

    def kill(self) -> None:
        """SIGKILL."""
        proc.send(self.pid, self.ticks, signal.SIGKILL)

    def ended(self, timeout: float = 20.0) -> bool:
        """Wait for its end."""
        return proc.wait_end(self.pid, self.ticks, timeout=timeout)


def process(pid: int) -> Process:
    """The process with this number; it must be there."""
    ticks = proc.start_ticks(pid)
    assert ticks is not None, f"no process {pid}"
    return Process(pid, ticks)


def family(pid: int) -> list[Process]:
    """A process and all that came of it."""
    found, look = [], [pid]
    while look:
        one = look.pop()
        ticks = proc.start_ticks(one)
        if ticks is not None:
            found.append(Process(one, ticks))
            look += proc.children(one)
    return found


def running(word: str, among: list[Process] | None = None) -> list[Process]:
    """The processes that have ``word`` in their command line, among those given or all but this one's own."""
    pids = [p.pid for p in among] if among is not None else [p for p in proc.pids() if p != os.getpid()]
    found = []
    for pid in pids:
        ticks = proc.start_ticks(pid)
        if ticks is not None and any(word.encode() in part for part in proc.cmdline(pid)):
            with contextlib.suppress(AssertionError):
                found.append(process(pid))
    return [each for each in found if each.alive]


def program(name: str, among: list[Process]) -> list[Process]:
    """Those of ``among`` whose program file is called ``name``."""
    return [p for p in among if os.path.basename((proc.cmdline(p.pid) or (b"",))[0]) == name.encode()]  # noqa: PTH119


def parent(process: Process) -> int | None:
    """Who started it. What has not executed its program yet looks like who started it."""
    found = proc.stat(process.pid)
    return found.ppid if found is not None else None


def is_python(process: Process) -> bool:
    """Whether it runs a Python program."""
    return os.path.basename((proc.cmdline(process.pid) or (b"",))[0]).startswith(b"python")  # noqa: PTH119


def mounts(pid: int) -> bytes:
    """What it sees mounted; nothing when it is gone."""
    try:
        return (proc.PROC / str(pid) / "mountinfo").read_bytes()
    except OSError:
        return b""

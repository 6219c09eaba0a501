"""The leader of a container without walls, run by path in a process of its own; standard library only.

It starts the payload, hands SIGTERM on to it, reaps what loses its parent, and when the payload ends (or
SIGUSR1 says so) ends all that came of it. Then it writes how that was to the status descriptor and ends.

Usage: leader.py STATUS_FD COMMAND [ARGUMENT...]
"""

import ctypes
import json
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LAST = 5.0
"""Seconds that what is left has to go away after a kill."""


def main(argv: list[str]) -> int:
    """Lead ``argv[2:]``; returns its exit code, 128 + n after signal n."""
    status, command = int(argv[1]), argv[2:]
    os.set_inheritable(status, False)
    wanted = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1}
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    payload = start(command, wanted, libc)
    tell(status, {"child-pid": os.getpid(), "payload": payload})
    code = lead(payload, wanted)
    end_descendants()
    tell(status, {"exit-code": code})
    return code


def start(command: list[str], blocked: set[signal.Signals], libc: ctypes.CDLL) -> int:
    """Fork and execute the payload in a session of its own; it dies with the leader."""
    leader = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != leader:
            os._exit(137)
        os.setsid()
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def lead(payload: int, wanted: set[signal.Signals]) -> int:
    """Reap and hand signals on until the payload has ended or is to be ended; its exit code."""
    while True:
        match signal.sigwait(wanted):
            case signal.SIGCHLD:
                for pid, status in reaped():
                    if pid == payload:
                        return code_of(status)
            case signal.SIGUSR1:
                end_descendants()
                return 128 + signal.SIGKILL
            case number:
                os.kill(payload, number)


def reaped() -> list[tuple[int, int]]:
    """The children that have ended: pid and wait status."""
    found: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if not pid:
            return found
        found.append((pid, status))


def code_of(status: int) -> int:
    """A wait status as an exit code."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def end_descendants() -> None:
    """Kill all that came of the payload, stopped first until nothing new appears: nothing forks away."""
    until = time.monotonic() + LAST
    stopped: set[int] = set()
    while time.monotonic() < until:
        reaped()
        found = descendants()
        if not found:
            return
        fresh = found - stopped
        for pid in fresh or found:
            try:
                os.kill(pid, signal.SIGSTOP if fresh else signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        stopped |= fresh
        if not fresh:
            time.sleep(0.002)


def descendants() -> set[int]:
    """All processes below this one; orphans are its children, for it is their subreaper."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - a cheap start is the point here
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:  # noqa: PTH123 - as above
                parent = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError):
            continue
        parents.setdefault(parent, []).append(int(entry))
    found: set[int] = set()
    look = [os.getpid()]
    while look:
        below = [pid for pid in parents.get(look.pop(), []) if pid not in found]
        found.update(below)
        look += below
    return found


def tell(status: int, document: dict[str, int]) -> None:
    """Append one line to the status file."""
    os.write(status, json.dumps(document).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv))

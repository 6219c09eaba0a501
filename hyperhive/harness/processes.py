"""The processes below the harness: adopt orphans, end them, reap them. Linux: ``/proc`` and ``prctl``."""

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Collection
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> bool:
    """Make orphans below this process its own children, so that none escapes. Says whether it worked."""
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def _stat(pid: int) -> tuple[int, str] | None:
    """Parent and state letter of ``pid``; ``None`` when it is gone."""
    try:
        raw = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = raw[raw.rindex(b")") + 2 :].split()  # the name before may hold anything
    return int(fields[1]), fields[0].decode()


def family(root: int) -> dict[int, str]:
    """All processes below ``root`` with their state letter, ``root`` itself left out."""
    children: dict[int, list[tuple[int, str]]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - names only, and often
        if entry.isdigit() and (stat := _stat(int(entry))) is not None:
            children.setdefault(stat[0], []).append((int(entry), stat[1]))
    found: dict[int, str] = {}
    todo = [root]
    while todo:
        for pid, state in children.get(todo.pop(), []):
            found[pid] = state
            todo.append(pid)
    return found


def reap_orphans(*, keep: Collection[int] = ()) -> None:
    """Collect ended children that nobody waits for. ``keep``: those that somebody does wait for."""
    own = os.getpid()
    for pid, state in family(own).items():
        if state == "Z" and pid not in keep:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


async def end_family(*, keep: Collection[int] = (), deadline: float = 2.0) -> bool:
    """Kill everything below this process and wait until it is gone.

    Args:
        keep: pids that are neither killed nor waited for here.
        deadline: seconds after which it is given up.

    Returns:
        Whether nothing is left.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + deadline
    while True:
        reap_orphans(keep=keep)
        # A child of what is killed may have been born after the look: look again until there is none.
        left = [pid for pid, state in family(os.getpid()).items() if pid not in keep and state != "Z"]
        if not left:
            return True
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if loop.time() >= until:
            return False
        await asyncio.sleep(0.01)

"""Containers without walls: a leader process holds the payload together, nothing confines it."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hyperhive.domain.records import Handle
from hyperhive.errors import Broken
from hyperhive.runtimes import links, outer, proc, spawned
from hyperhive.runtimes.base import Bind, LaunchSpec, Probe
from hyperhive.runtimes.cgroups import OUT_OF_MEMORY, Cgroups

if TYPE_CHECKING:
    from hyperhive.domain.limits import Limits

_LEADER = Path(__file__).with_name("leader.py")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LAST = 10.0
"""Seconds that killed processes have to go away."""


class Process:
    """Runs the payload as plain processes of this user: they see and can do what the user sees and can do.

    Args:
        python: the interpreter that runs the leader.
        cgroups: what holds the limits.
    """

    name = "process"
    confined = False

    def __init__(self, *, python: Path | None = None, cgroups: Cgroups | None = None) -> None:
        self._python = str(python or sys.executable)
        self._cgroups = cgroups or Cgroups()
        self._children = spawned.Children()

    def probe(self) -> Probe:
        """Processes work wherever this does, given pidfds (Linux 5.3) and ``/proc``."""
        try:
            os.close(os.pidfd_open(os.getpid()))
            proc.boot_id()
        except (OSError, AttributeError) as error:
            return Probe(
                works=False, reason=f"pidfds or /proc are missing: {error}", fix="use Linux 5.3 or newer"
            )
        return Probe(works=True)

    def inside(self, spec_binds: tuple[Bind, ...], host: Path) -> Path:
        """The host path itself: there is no inside."""
        return host

    def start(self, spec: LaunchSpec, *, deadline: float) -> Handle:
        """Start the leader; see ``Runtime.start``."""
        self._children.collect()
        until = time.monotonic() + deadline
        return spawned.start(
            self,
            spec,
            launch=lambda note: self._await_payload(spec, self._spawn(spec, note), until),
            give_up=lambda note: self._give_up(spec, note),
        )

    def unheld(self, limits: "Limits") -> tuple[str, ...]:
        """Those that no control group holds. None is a wall: the payload may leave the group if its user may."""
        missing = self._cgroups.unheld(limits)
        return tuple(
            f"limits.{limit} does not hold under process here: {why}." for limit, why in missing.items()
        )

    def shared(self, folder: Path) -> Path:
        """A folder of links in the container's own."""
        return links.place(folder)

    def share(self, folder: Path, handle: Handle, shares: tuple[Bind, ...]) -> None:
        """Make exactly these links; see ``Runtime.share``."""
        if not self.alive(handle):
            raise Broken("Nothing can be shown in a container that has ended.", code="not-running")
        links.show(folder, shares)

    def stop(self, handle: Handle, *, grace: float) -> None:
        """End the payload, then all that came of it; see ``Runtime.stop``."""
        if not self.alive(handle):
            return
        mark = _mark_of(handle.pid)
        pid, ticks = handle.pid, handle.start_ticks
        proc.send(pid, ticks, signal.SIGTERM)
        if not proc.wait_end(pid, ticks, timeout=grace):
            # The leader ends everything on SIGUSR1 and can still tell how; only a stuck one is killed itself.
            proc.send(pid, ticks, signal.SIGUSR1)
            if not proc.wait_end(pid, ticks, timeout=_LAST):
                proc.send(pid, ticks, signal.SIGKILL)
        gone = proc.wait_end(pid, ticks, timeout=_LAST)
        gone = (mark is None or proc.freeze_and_kill(lambda: proc.marked(mark), deadline=_LAST)) and gone
        self._children.collect()
        if not gone:
            raise Broken(f"Processes of {pid} are still there after SIGKILL; look at ps.", code="stop-failed")

    def find(self, folder: Path, recorded: Handle | None) -> Handle | None:
        """The leader, by record or by status file and mark."""
        self._children.collect()
        return spawned.find(self, folder, recorded, leads=_is_leader)

    def alive(self, handle: Handle) -> bool:
        """Whether the leader still runs."""
        if handle.boot == proc.boot_id() and proc.is_alive(handle.pid, handle.start_ticks):
            return True
        self._children.collect()
        return False

    def exit_note(self, folder: Path, handle: Handle) -> str | None:
        """What the leader wrote; without a word of it, it was killed."""
        status = spawned.read_status(folder)
        if status.leader != handle.pid or self.alive(handle):
            return None
        words = status.exit or "killed by SIGKILL"
        return f"{words}, {OUT_OF_MEMORY}" if self._cgroups.ran_out(folder) else words

    def sweep(self, folder: Path, name: str) -> None:
        """End what a killed leader left behind, found by its mark."""
        if self.find(folder, None) is not None:
            return
        note = spawned.read_note(folder, self.name)
        if note is not None:
            self._children.end_marked(note, deadline=_LAST)
        self._children.collect()
        self._cgroups.remove(folder)
        links.prepare(folder, shares=False)
        spawned.forget(folder)

    def enter(self, handle: Handle, argv: tuple[str, ...]) -> tuple[str, ...]:
        """The command itself, in the container's working directory."""
        cwd = f"/proc/{handle.pid}/cwd"
        return ("/bin/sh", "-c", 'cd -P "$1" && shift && exec "$@"', "sh", cwd, *argv)

    def _give_up(self, spec: LaunchSpec, note: spawned.Note) -> None:
        self._children.end_marked(note, deadline=_LAST)
        self._cgroups.remove(spec.folder)

    def _spawn(self, spec: LaunchSpec, note: spawned.Note) -> int:
        links.prepare(spec.folder, shares=spec.shares)
        groups = self._cgroups.make(spec.folder, note.id, spec.limits)
        status = spawned.open_status(spec.folder)
        home = spec.folder / "home"
        home.mkdir(exist_ok=True, mode=0o700)
        script = (self._python, "-I", "-S")
        joins = [word for group in groups for word in ("--cgroup", str(group))]
        around = (*script, outer.__file__, "make", *joins, "--") if joins else ()
        try:
            return self._children.spawn(
                (*around, *script, str(_LEADER), str(status), *spec.argv),
                env={"PATH": _PATH, "LANG": "C.UTF-8", "HOME": str(home), **spec.env, spawned.MARK: note.id},
                folder=spec.folder,
                cwd=spec.workdir or Path("/"),
                fds=(status,),
            )
        finally:
            os.close(status)

    def _await_payload(self, spec: LaunchSpec, pid: int, until: float) -> Handle:
        ticks = proc.start_ticks(pid)
        while ticks is not None and time.monotonic() < until:
            status = spawned.read_status(spec.folder)
            if status.leader is not None and any(proc.executed(pid, p) for p in proc.children(pid)):
                return Handle(self.name, pid, ticks, proc.boot_id())
            if proc.wait_end(pid, ticks, timeout=0.005):
                break
        ended = ticks is None or not proc.is_alive(pid, ticks)
        raise spawned.not_started(spec.folder, spec.name, ended=ended, otherwise="it ended at once")


def _mark_of(pid: int) -> bytes | None:
    """The mark in a leader's environment."""
    entries = proc.environ(pid).split(b"\0")
    return next((entry for entry in entries if entry.startswith(spawned.MARK.encode() + b"=")), None)


def _is_leader(pid: int) -> bool:
    """Whether the process runs our leader: it, or its child before that has executed the payload."""
    return os.fsencode(_LEADER) in proc.cmdline(pid)[:5]

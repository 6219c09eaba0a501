"""Containers by bubblewrap: namespaces of their own, the host's programs read-only, and nothing else of it.

The leader is the init of the pid namespace: its end is the end of everything in there. The ``bwrap`` outside
only waits and writes down how it ended; killing that one would end nothing.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hyperhive.domain.records import Handle
from hyperhive.errors import Broken, Deadline
from hyperhive.runtimes import links, outer, proc, spawned, walls
from hyperhive.runtimes.base import Bind, LaunchSpec, Probe
from hyperhive.runtimes.cgroups import OUT_OF_MEMORY, Cgroups
from hyperhive.runtimes.refusals import explain, install_bwrap

if TYPE_CHECKING:
    from hyperhive.domain.limits import Limits

_INIT = ("/bin/sh", "-c", f'unset {spawned.MARK}; "$@"; exit $?', "init")
_INIT_OF_FEW = (
    "/bin/sh",
    "-c",
    f'unset {spawned.MARK}; {{ ulimit -u "$1" || ulimit -p "$1"; }} 2>/dev/null || exit; shift; "$@"; exit $?',
    "init",
)
"""Number 1 inside. Bubblewrap's own would go on as long as anything runs; this one ends with the payload,
and so ends what the payload left. While it waits, a shell reaps whatever lost its parent. The other one first
limits how many processes there may be; the option has two names, by shell."""
_ENTER = Path(__file__).with_name("enter.py")
_OUTER = Path(outer.__file__)
_PROBE = 10.0
_SHARE = 20.0
"""Seconds that a change of what is shown may take."""
_LAST = 10.0
"""Seconds that a killed container has to go away."""
_NOTED = 2.0
"""Seconds that how a container ended takes to be written down, on a busy machine."""


class Bubblewrap:
    """Runs the payload behind namespaces; root is not needed.

    Args:
        bwrap: the program; ``None``: the one on ``PATH``.
        python: the interpreter for what runs around a container and enters it.
        cgroups: what holds the limits.
    """

    name = "bubblewrap"
    confined = True

    def __init__(
        self, *, bwrap: Path | None = None, python: Path | None = None, cgroups: Cgroups | None = None
    ) -> None:
        self._given = bwrap
        self._python = (str(python or sys.executable), "-I", "-S")
        self._cgroups = cgroups or Cgroups()
        self._children = spawned.Children()
        self._showing = threading.Lock()
        self._has_hub = False

    def probe(self) -> Probe:
        """Starts ``true`` behind the same walls."""
        bwrap = self._bwrap
        if bwrap is None:
            return Probe(works=False, reason="bubblewrap is not installed", fix=install_bwrap())
        return self._try(bwrap)

    def inside(self, spec_binds: tuple[Bind, ...], host: Path) -> Path:
        """By the binds; what is in none of them is a program and keeps its place."""
        return walls.inside(spec_binds, host)

    def start(self, spec: LaunchSpec, *, deadline: float) -> Handle:
        """Start ``bwrap`` and wait until the payload runs in it; see ``Runtime.start``."""
        self._children.collect()
        until = time.monotonic() + deadline
        if (bwrap := self._bwrap) is None:
            raise Broken(f"bubblewrap is not installed; {install_bwrap()}.", code="start-failed")
        return spawned.start(
            self,
            spec,
            launch=lambda note: self._await_payload(spec, self._spawn(bwrap, spec, note), until),
            give_up=lambda note: self._give_up(spec, note),
        )

    def unheld(self, limits: "Limits") -> tuple[str, ...]:
        """Those that no control group holds; without one, the kernel may count the tasks of the namespace."""
        missing = self._cgroups.unheld(limits)
        if _counts_tasks():
            missing.pop("tasks", None)
        return tuple(
            f"limits.{limit} does not hold under bubblewrap here: {why}." for limit, why in missing.items()
        )

    def shared(self, folder: Path) -> Path:
        """``/agents``; nothing can be made, renamed or removed there from inside."""
        return walls.SHARED

    def share(self, folder: Path, handle: Handle, shares: tuple[Bind, ...]) -> None:
        """Mount exactly these in the namespace around it, from where they propagate; see ``Runtime.share``.

        A share that is no folder, or behind a link below the part of its path that is also the way to ``folder``,
        is named in the error; the others are shown.
        """
        wanted = links.placed(shares)
        words = [
            (inside, str(bind.host), str(links.trusted(bind.host, folder)), bind.writable)
            for inside, bind in wanted.items()
        ]
        with self._showing:
            pid, ticks = self._around(folder, handle)
            command = (*self._python, str(_OUTER), "show", str(pid), str(ticks))
            try:
                done = subprocess.run(
                    command,
                    input=json.dumps(words),
                    capture_output=True,
                    text=True,
                    timeout=_SHARE,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise Deadline(
                    f"Folders were not shown inside within {_SHARE:.0f} s.", code="share-failed"
                ) from None
            except OSError as error:
                raise Broken(f"Folders cannot be shown inside: {error}.", code="share-failed") from error
        if done.returncode == outer.NO_HUB:
            raise self._no_hub()
        if done.returncode != 0:
            raise Broken(
                f"Folders cannot be shown inside: {done.stderr.strip()[-500:]}.", code="share-failed"
            )
        if missing := json.loads(done.stdout):
            raise links.not_there(missing)

    def stop(self, handle: Handle, *, grace: float) -> None:
        """SIGTERM to the payload, after ``grace`` SIGKILL to the leader; see ``Runtime.stop``."""
        if not self.alive(handle):
            return
        pid, ticks = handle.pid, handle.start_ticks
        found = proc.stat(pid)
        payload = _payload(pid)
        if payload is not None and (since := proc.start_ticks(payload)) is not None:
            proc.send(payload, since, signal.SIGTERM)
        if payload is None or not proc.wait_end(pid, ticks, timeout=grace):
            proc.send(pid, ticks, signal.SIGKILL)
        if not proc.wait_end(pid, ticks, timeout=_LAST):
            raise Broken(f"The container's leader {pid} is still there after SIGKILL.", code="stop-failed")
        if found is not None:
            _await_outer(found.ppid, timeout=1.0)
        self._children.collect()

    def find(self, folder: Path, recorded: Handle | None) -> Handle | None:
        """The leader, by record, by status file, or by its mark."""
        self._children.collect()
        return spawned.find(self, folder, recorded, leads=lambda pid: proc.inner_pid(pid) == 1)

    def alive(self, handle: Handle) -> bool:
        """Whether the leader still runs."""
        if handle.boot == proc.boot_id() and proc.is_alive(handle.pid, handle.start_ticks):
            return True
        self._children.collect()
        return False

    def exit_note(self, folder: Path, handle: Handle) -> str | None:
        """What the outer ``bwrap`` wrote down; it is given a moment to."""
        note = spawned.read_note(folder, self.name)
        if note is None or spawned.read_status(folder).leader != handle.pid or self.alive(handle):
            return None
        until = time.monotonic() + _NOTED
        while spawned.read_status(folder).exit is None and time.monotonic() < until:
            around = next(iter(proc.marked(note.mark)), None)
            if around is None or _await_outer(around, timeout=until - time.monotonic()):
                break
        words = spawned.read_status(folder).exit
        if self._cgroups.ran_out(folder):
            return f"{words or 'killed by SIGKILL'}, {OUT_OF_MEMORY}"
        return words

    def sweep(self, folder: Path, name: str) -> None:
        """Nothing outlives a pid namespace; what is left are an outer ``bwrap`` and files."""
        if self.find(folder, None) is not None:
            return
        note = spawned.read_note(folder, self.name)
        if note is not None:
            self._children.end_marked(note, deadline=_LAST)
        self._children.collect()
        self._cgroups.remove(folder)
        walls.clear(folder)
        spawned.forget(folder)

    def enter(self, handle: Handle, argv: tuple[str, ...]) -> tuple[str, ...]:
        """A helper that joins namespaces and limits, gives up all rights and executes ``argv``."""
        limits = (word for group in self._cgroups.of(handle.pid) for word in ("--cgroup", str(group)))
        return (*self._python, str(_ENTER), *limits, str(handle.pid), str(handle.start_ticks), *argv)

    @property
    def _bwrap(self) -> str | None:
        return str(self._given) if self._given is not None else shutil.which("bwrap")

    @cached_property
    def _options(self) -> str:
        with suppress(OSError, subprocess.TimeoutExpired):
            command = (self._bwrap or "bwrap", "--help")
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE, check=False)
            return done.stdout + done.stderr
        return ""

    def _can(self, option: str) -> bool:
        return option in self._options

    def _try(self, bwrap: str, *around: str) -> Probe:
        """Start ``true`` behind the walls; ``around``: the command that they are started by."""
        args = walls.base(hostname="probe", home=walls.HOME, disable_userns=self._can("--disable-userns"))
        command = (*around, bwrap, *args, *walls.seal(), "--", shutil.which("true") or "/bin/true")
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE, check=False, cwd="/"
            )
        except subprocess.TimeoutExpired:
            return Probe(
                works=False, reason=f"bwrap did not end within {_PROBE:.0f} s", fix=f"try: {bwrap} --help"
            )
        except OSError as error:
            return Probe(works=False, reason=f"{bwrap}: {error.strerror}", fix=install_bwrap())
        if done.returncode == 0:
            return Probe(works=True)
        return explain(done.stderr.decode(errors="replace"))

    def _why_no_hub(self) -> str:
        """Why nothing can be shown in a running container here; empty when it can."""
        if not self._has_hub:
            bwrap = self._bwrap or "bwrap"
            probe = self._try(bwrap, *self._python, str(_OUTER), "make", "--hub", "--")
            self._has_hub = probe.works
            return probe.reason
        return ""

    def _no_hub(self) -> Broken:
        if reason := self._why_no_hub():
            return Broken(f"Nothing can be shown in a running container here: {reason}.", code="no-shares")
        return links.no_place()

    def _around(self, folder: Path, handle: Handle) -> tuple[int, int]:
        """The ``bwrap`` outside, by pid and start time: it is in the namespace around the container."""
        found, note = proc.stat(handle.pid), spawned.read_note(folder, self.name)
        if note is None or found is None or not self.alive(handle):
            raise Broken("Nothing can be shown in a container that has ended.", code="not-running")
        ticks = proc.start_ticks(found.ppid)
        if ticks is None or not proc.has_env(found.ppid, note.mark):
            raise Broken(
                "Nothing can be shown in it, for its outer bwrap was killed; restart it.", code="no-shares"
            )
        return found.ppid, ticks

    def _give_up(self, spec: LaunchSpec, note: spawned.Note) -> None:
        self._children.end_marked(note, deadline=_LAST)
        self._cgroups.remove(spec.folder)

    def _spawn(self, bwrap: str, spec: LaunchSpec, note: spawned.Note) -> int:
        sources = walls.Sources()
        hub = spec.shares and not self._why_no_hub()
        groups = self._cgroups.make(spec.folder, note.id, spec.limits)
        fds: list[int] = []
        try:
            args = [*self._arguments(spec, note, sources, hub=hub)]
            fds.append(os.memfd_create("bwrap-args", os.MFD_CLOEXEC))
            with os.fdopen(os.dup(fds[0]), "wb") as file:
                file.write(b"".join(os.fsencode(arg) + b"\0" for arg in args))
            os.lseek(fds[0], 0, os.SEEK_SET)
            fds.append(spawned.open_status(spec.folder))
            options = [word for group in groups for word in ("--cgroup", str(group))]
            options += [*sources.staged, *(("--hub",) if hub else ())]
            around = (*self._python, str(_OUTER), "make", *options, "--") if options else ()
            command = (*around, bwrap, "--args", str(fds[0]), "--json-status-fd", str(fds[1]), "--")
            return self._children.spawn(
                (*command, *self._init(spec.limits), *spec.argv),
                env={"PATH": walls.PATH, spawned.MARK: note.id},
                folder=spec.folder,
                cwd=Path("/"),
                fds=tuple(fds),
            )
        finally:
            for fd in fds:
                os.close(fd)

    def _init(self, limits: "Limits") -> tuple[str, ...]:
        if limits.tasks is None or not _counts_tasks() or "tasks" not in self._cgroups.unheld(limits):
            return _INIT
        return (*_INIT_OF_FEW, str(limits.tasks))

    def _arguments(
        self, spec: LaunchSpec, note: spawned.Note, sources: walls.Sources, *, hub: bool
    ) -> list[str]:
        home = spec.env.get("HOME", walls.HOME)
        shell = next(walls.shells(), "/bin/sh")
        needed = (*spec.programs, *((Path(spec.argv[0]),) if spec.argv[0].startswith("/") else ()))
        workdir = walls.inside(spec.binds, spec.workdir) if spec.workdir is not None else Path(home)
        return [
            "--as-pid-1",
            *walls.base(hostname=spec.name, home=home, disable_userns=self._can("--disable-userns")),
            *walls.etc(spec, home, shell, sources),
            *walls.programs(needed, spec.folder, sources),
            *walls.binds(spec.binds, sources),
            *(("--ro-bind", outer.HUB, str(walls.SHARED)) if hub else ()),
            *walls.seal(),
            *("--chdir", str(workdir)),
            *walls.environment(spec.env, home, shell),
            # Found again by its mark, the init needs it where its environment began.
            *("--setenv", spawned.MARK, note.id),
        ]

    def _await_payload(self, spec: LaunchSpec, pid: int, until: float) -> Handle:
        ticks = proc.start_ticks(pid)
        while ticks is not None and time.monotonic() < until:
            leader = spawned.read_status(spec.folder).leader
            if leader is not None and _executed(leader) and (h := spawned.handle_of(self.name, leader)):
                return h
            if proc.wait_end(pid, ticks, timeout=0.003):
                break
        ended = ticks is None or not proc.is_alive(pid, ticks)
        raise spawned.not_started(spec.folder, spec.name, ended=ended, otherwise="bwrap refused")


def _counts_tasks() -> bool:
    """Whether RLIMIT_NPROC counts the container's processes alone: since Linux 5.14, and never root's."""
    version = tuple(int(word) for word in os.uname().release.split("-")[0].split(".")[:2])
    return os.geteuid() != 0 and version >= (5, 14)


def _payload(leader: int) -> int | None:
    """The init's first child: number 2 in there."""
    return next((pid for pid in proc.children(leader) if proc.inner_pid(pid) == 2), None)


def _executed(leader: int) -> bool:
    """Whether the payload has executed what it is for; until then it is a copy of the init."""
    payload = _payload(leader)
    return payload is not None and proc.executed(leader, payload)


def _await_outer(pid: int, *, timeout: float) -> bool:
    """Wait until the ``bwrap`` outside has written down how it ended, and ended; whether it has."""
    found = proc.stat(pid)
    if found is None or found.dead or found.comm != "bwrap":
        return True
    return proc.wait_end(pid, found.start_ticks, timeout=timeout)

"""Containers by bubblewrap: namespaces of their own, the host's programs read-only, and nothing else of it.

The leader is the init of the pid namespace: its end is the end of everything in there. The ``bwrap`` outside
only waits and writes down how it ended; killing that one would end nothing.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from hyperhive.domain.records import Handle
from hyperhive.errors import Broken, HiveError, Refused
from hyperhive.runtimes import proc, spawned, walls
from hyperhive.runtimes.base import Bind, LaunchSpec, Probe
from hyperhive.runtimes.refusals import explain, install_bwrap

_INIT = ("/bin/sh", "-c", f'unset {spawned.MARK}; "$@"; exit $?', "init")
"""Number 1 inside. Bubblewrap's own would go on as long as anything runs; this one ends with the payload,
and so ends what the payload left. While it waits, a shell reaps whatever lost its parent."""
_ENTER = Path(__file__).with_name("enter.py")
_PROBE = 10.0
_LAST = 10.0
"""Seconds that a killed container has to go away."""


class Bubblewrap:
    """Runs the payload behind namespaces; root is not needed.

    Args:
        bwrap: the program; ``None``: the one on ``PATH``.
    """

    name = "bubblewrap"
    confined = True

    def __init__(self, *, bwrap: Path | None = None) -> None:
        self._given = bwrap
        self._children = spawned.Children()

    def probe(self) -> Probe:
        """Starts ``true`` behind the same walls."""
        bwrap = self._bwrap
        if bwrap is None:
            return Probe(works=False, reason="bubblewrap is not installed", fix=install_bwrap())
        true = shutil.which("true") or "/bin/true"
        args = walls.base(hostname="probe", home=walls.HOME, disable_userns=self._can("--disable-userns"))
        command = (bwrap, *args, *walls.seal(), "--", true)
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

    def inside(self, spec_binds: tuple[Bind, ...], host: Path) -> Path:
        """By the binds; what is in none of them is a program and keeps its place."""
        return walls.inside(spec_binds, host)

    def start(self, spec: LaunchSpec, *, deadline: float) -> Handle:
        """Start ``bwrap`` and wait until the payload runs in it; see ``Runtime.start``."""
        self._children.collect()
        until = time.monotonic() + deadline
        if (bwrap := self._bwrap) is None:
            raise Broken(f"bubblewrap is not installed; {install_bwrap()}.", code="start-failed")
        with spawned.only_one(spec.folder, spec.name):
            if self.find(spec.folder, None) is not None:
                raise Refused(f"'{spec.name}' already runs; stop it first.", code="already-running")
            self.sweep(spec.folder, spec.name)
            note = spawned.Note(uuid.uuid4().hex, self.name, spec.name, proc.boot_id())
            spawned.write_note(spec.folder, note)
            try:
                outer = self._spawn(bwrap, spec, note)
                return self._await_payload(spec, outer, until)
            except OSError as error:
                self._children.end_marked(note, deadline=_LAST)
                raise Broken(f"'{spec.name}' did not start: {error}.", code="start-failed") from error
            except HiveError:
                self._children.end_marked(note, deadline=_LAST)
                raise

    def stop(self, handle: Handle, *, grace: float) -> None:
        """SIGTERM to the payload, after ``grace`` SIGKILL to the leader; see ``Runtime.stop``."""
        if not self.alive(handle):
            return
        pid, ticks = handle.pid, handle.start_ticks
        outer = proc.stat(pid)
        payload = _payload(pid)
        if payload is not None and (since := proc.start_ticks(payload)) is not None:
            proc.send(payload, since, signal.SIGTERM)
        if payload is None or not proc.wait_end(pid, ticks, timeout=grace):
            proc.send(pid, ticks, signal.SIGKILL)
        if not proc.wait_end(pid, ticks, timeout=_LAST):
            raise Broken(f"The container's leader {pid} is still there after SIGKILL.", code="stop-failed")
        if outer is not None:
            _await_outer(outer.ppid, timeout=1.0)
        self._children.collect()

    def find(self, folder: Path, recorded: Handle | None) -> Handle | None:
        """The leader, by record, by status file, or by its mark."""
        self._children.collect()
        if recorded is not None and recorded.runtime == self.name and self.alive(recorded):
            return recorded
        note = spawned.read_note(folder, self.name)
        if note is None:
            return None
        leader = spawned.read_status(folder).leader
        for pid in (leader,) if leader is not None else proc.marked(note.mark):
            if proc.has_env(pid, note.mark) and proc.inner_pid(pid) == 1:
                return spawned.handle_of(self.name, pid)
        return None

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
        until = time.monotonic() + 0.5
        while (words := spawned.read_status(folder).exit) is None and time.monotonic() < until:
            outer = next(iter(proc.marked(note.mark)), None)
            if outer is None or _await_outer(outer, timeout=until - time.monotonic()):
                return spawned.read_status(folder).exit
        return words

    def sweep(self, folder: Path, name: str) -> None:
        """Nothing outlives a pid namespace; what is left are an outer ``bwrap`` and files."""
        if self.find(folder, None) is not None:
            return
        note = spawned.read_note(folder, self.name)
        if note is not None:
            self._children.end_marked(note, deadline=_LAST)
        self._children.collect()
        walls.clear(folder)
        spawned.forget(folder)

    def enter(self, handle: Handle, argv: tuple[str, ...]) -> tuple[str, ...]:
        """A helper that joins the namespaces, gives up all rights and executes ``argv``."""
        return (sys.executable, "-I", "-S", str(_ENTER), str(handle.pid), str(handle.start_ticks), *argv)

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

    def _spawn(self, bwrap: str, spec: LaunchSpec, note: spawned.Note) -> int:
        sources = walls.Sources(spec.folder / "stage")
        fds: list[int] = []
        try:
            args = self._arguments(spec, note, sources)
            fds.append(os.memfd_create("bwrap-args", os.MFD_CLOEXEC))
            with os.fdopen(os.dup(fds[0]), "wb") as file:
                file.write(b"".join(os.fsencode(arg) + b"\0" for arg in args))
            os.lseek(fds[0], 0, os.SEEK_SET)
            fds.append(spawned.open_status(spec.folder))
            outer = (*sources.detour, bwrap, "--args", str(fds[0]), "--json-status-fd", str(fds[1]), "--")
            env = {"PATH": walls.PATH, spawned.MARK: note.id}
            return self._children.spawn(
                (*outer, *_INIT, *spec.argv), env=env, folder=spec.folder, cwd=Path("/"), fds=tuple(fds)
            )
        finally:
            for fd in fds:
                os.close(fd)

    def _arguments(self, spec: LaunchSpec, note: spawned.Note, sources: walls.Sources) -> list[str]:
        home = spec.env.get("HOME", walls.HOME)
        shell = next(walls.shells(), "/bin/sh")
        needed = (*spec.programs, *((Path(spec.argv[0]),) if spec.argv[0].startswith("/") else ()))
        workdir = walls.inside(spec.binds, spec.workdir) if spec.workdir is not None else Path(home)
        return [
            "--as-pid-1",
            *walls.base(hostname=spec.name, home=home, disable_userns=self._can("--disable-userns")),
            *walls.etc(spec, home, shell),
            *walls.programs(needed, spec.folder, sources),
            *walls.binds(spec.binds, sources),
            *walls.seal(),
            *("--chdir", str(workdir)),
            *walls.environment(spec.env, home, shell),
            # Found again by its mark, the init needs it where its environment began.
            *("--setenv", spawned.MARK, note.id),
        ]

    def _await_payload(self, spec: LaunchSpec, outer: int, until: float) -> Handle:
        ticks = proc.start_ticks(outer)
        while ticks is not None and time.monotonic() < until:
            leader = spawned.read_status(spec.folder).leader
            if leader is not None and _executed(leader) and (h := spawned.handle_of(self.name, leader)):
                return h
            if proc.wait_end(outer, ticks, timeout=0.003):
                break
        ended = ticks is None or not proc.is_alive(outer, ticks)
        raise spawned.not_started(spec.folder, spec.name, ended=ended, otherwise="bwrap refused")


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

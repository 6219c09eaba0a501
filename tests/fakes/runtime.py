"""A runtime for tests of what is above it: real, tiny processes as leaders, and faults on demand."""

import json
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

from hyperhive.domain.limits import Limits
from hyperhive.domain.records import Handle
from hyperhive.errors import Broken, Deadline, Refused
from hyperhive.runtimes import links, proc
from hyperhive.runtimes.base import Bind, LaunchSpec, Probe

_SLEEP = "/bin/sleep"


class FakeRuntime:
    """Runs ``sleep`` instead of what the spec says, in a session of its own, so that pidfds are real.

    ``starts``, ``stops`` and ``shown`` tell what was asked for. What runs is noted in the spec's folder, so that
    a second FakeRuntime finds it, as after a restart of the daemon. Call ``end_all`` when the test ends.

    Args:
        name: what it calls itself.
        probe: what it says about itself.
        holds: the limits that hold; all others are named by ``unheld``.
        lifetime: seconds after which a container ends by itself.
    """

    def __init__(
        self,
        *,
        name: str = "process",
        probe: Probe | None = None,
        holds: frozenset[str] = frozenset({"memory", "cpus", "tasks"}),
        lifetime: str = "600",
    ) -> None:
        self.name = name
        self.confined = False
        self.starts: list[LaunchSpec] = []
        self.stops: list[str] = []
        self.shown: list[tuple[Bind, ...]] = []
        self.fail_next_start: str | None = None
        self.fail_next_stop: str | None = None
        self.fail_next_share: str | None = None
        self.hang_next: threading.Event | None = None
        self._probe = probe or Probe(works=True)
        self._holds = holds
        self._lifetime = lifetime
        self._handles: dict[str, Handle] = {}
        self._ever: list[tuple[str, Handle]] = []
        self._ends: dict[int, str] = {}
        self._lock = threading.Lock()
        self._starting = threading.Lock()

    # -- the port

    def probe(self) -> Probe:
        return self._probe

    def inside(self, spec_binds: tuple[Bind, ...], host: Path) -> Path:
        return host

    def start(self, spec: LaunchSpec, *, deadline: float) -> Handle:
        self.starts.append(spec)
        self._hang(deadline)
        if (reason := self.fail_next_start) is not None:
            self.fail_next_start = None
            raise Broken(reason, code="start-failed")
        spec.folder.mkdir(parents=True, exist_ok=True)
        with self._starting:  # of two starts with one folder the second is refused
            if self.find(spec.folder, None) is not None:
                raise Refused(f"'{spec.name}' already runs; stop it first.", code="already-running")
            links.prepare(spec.folder, shares=spec.shares)
            return self._spawn(spec)

    def unheld(self, limits: Limits) -> tuple[str, ...]:
        wanted = limits.model_dump(exclude_none=True)
        return tuple(
            f"limits.{k} does not hold under {self.name} here." for k in wanted if k not in self._holds
        )

    def shared(self, folder: Path) -> Path:
        return links.place(folder)

    def share(self, folder: Path, handle: Handle, shares: tuple[Bind, ...]) -> None:
        self.shown.append(shares)
        if (reason := self.fail_next_share) is not None:
            self.fail_next_share = None
            raise Broken(reason, code="share-failed")
        if not self.alive(handle):
            raise Broken("The container has ended.", code="not-running")
        links.show(folder, shares)

    def stop(self, handle: Handle, *, grace: float) -> None:
        self.stops.append(next((n for n, h in self._handles.items() if h == handle), "?"))
        self._hang(grace + 60)
        if (reason := self.fail_next_stop) is not None:
            self.fail_next_stop = None
            raise Broken(reason, code="stop-failed")
        proc.send(handle.pid, handle.start_ticks, signal.SIGTERM)
        if not proc.wait_end(handle.pid, handle.start_ticks, timeout=grace):
            proc.send(handle.pid, handle.start_ticks, signal.SIGKILL)
            if not proc.wait_end(handle.pid, handle.start_ticks, timeout=40):
                raise Broken(f"Process {handle.pid} does not end.", code="stop-failed")
        self._reap(handle.pid)

    def find(self, folder: Path, recorded: Handle | None) -> Handle | None:
        if recorded is not None and self.alive(recorded):
            return recorded
        try:
            pid, ticks, boot = json.loads(self._note(folder).read_text())
        except (OSError, ValueError):
            return None
        found = Handle(self.name, pid, ticks, boot)
        return found if self.alive(found) else None

    def alive(self, handle: Handle) -> bool:
        self._reap(handle.pid)
        return handle.boot == proc.boot_id() and proc.is_alive(handle.pid, handle.start_ticks)

    def exit_note(self, folder: Path, handle: Handle) -> str | None:
        self._reap(handle.pid)
        return self._ends.get(handle.pid)

    def sweep(self, folder: Path, name: str) -> None:
        with self._starting:
            if self.find(folder, None) is None:
                self._note(folder).unlink(missing_ok=True)
                links.prepare(folder, shares=False)

    def enter(self, handle: Handle, argv: tuple[str, ...]) -> tuple[str, ...]:
        return argv

    def running(self, name: str) -> list[Handle]:
        """All that was started for ``name`` and still runs."""
        with self._lock:
            ever = list(self._ever)
        return [handle for started, handle in ever if started == name and self.alive(handle)]

    # -- faults

    def crash(self, name: str) -> None:
        """Kill the agent's leader, as an unplanned end."""
        handle = self._handles[name]
        proc.send(handle.pid, handle.start_ticks, signal.SIGKILL)

    def end_all(self) -> None:
        """End whatever still runs; for the end of a test."""
        for _, handle in self._ever:
            proc.send(handle.pid, handle.start_ticks, signal.SIGKILL)
            proc.wait_end(handle.pid, handle.start_ticks, timeout=40)
            self._reap(handle.pid)

    # -- inner

    def _spawn(self, spec: LaunchSpec) -> Handle:
        with (spec.folder / "log").open("ab") as log:
            log.write(b"started\n")
        null = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0)
        actions = [null, (os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2)]
        pid = os.posix_spawn(_SLEEP, ["sleep", self._lifetime], {}, file_actions=actions, setsid=True)
        ticks = proc.start_ticks(pid)
        assert ticks is not None
        handle = Handle(self.name, pid, ticks, proc.boot_id())
        self._note(spec.folder).write_text(json.dumps([pid, ticks, handle.boot]))
        with self._lock:
            self._handles[spec.name] = handle
            self._ever.append((spec.name, handle))
        return handle

    @staticmethod
    def _note(folder: Path) -> Path:
        return folder / "fake.json"

    def _hang(self, deadline: float) -> None:
        gate, self.hang_next = self.hang_next, None
        if gate is not None and not gate.wait(deadline):
            raise Deadline("The runtime did not answer within its deadline.", code="start-deadline")

    def _reap(self, pid: int) -> None:
        with self._lock, suppress(ProcessLookupError, ChildProcessError):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done == pid:
                number = os.waitstatus_to_exitcode(status)
                name = signal.Signals(-number).name if number < 0 else ""
                self._ends[pid] = f"killed by {name}" if name else f"exit status {number}"

"""Containers without hyperhive around them: started by the runtime, ready when their harness says hello."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from hyperhive.actors.builder import Builder
from hyperhive.actors.environments import Environments
from hyperhive.actors.layout import Layout
from hyperhive.claude_code import find_claude
from hyperhive.domain.records import Handle
from hyperhive.repos.repositories import Repositories
from hyperhive.runtimes.base import LaunchSpec
from hyperhive.runtimes.bubblewrap import Bubblewrap

_DEADLINE = 60.0


@dataclass(eq=False)
class BareContainers:
    """The containers of ``count`` agents, ended and started again over and over.

    Args:
        place: a short path for their folders and sockets.
        places: how many start at once.
    """

    place: Path
    count: int
    places: int
    _runtime: Bubblewrap = field(default_factory=Bubblewrap)
    _specs: list[LaunchSpec] = field(default_factory=list)
    _doors: list[socket.socket] = field(default_factory=list)
    _handles: list[Handle | None] = field(default_factory=list)

    def prepare(self) -> None:
        """Build a generation for each, as hyperhive does."""
        layout = Layout(home=self.place / "home", run=self.place / "run")
        repos = Repositories(home=layout.home)
        claude, _ = find_claude(None, cache=self.place / "claude.json")
        builder = Builder(
            layout=layout,
            runtime=self._runtime,
            repos=repos,
            environments=Environments(folder=layout.environments),
            own="bench",
            package=Path(__file__).resolve().parents[1] / "hyperhive",
            claude=claude,
            turn_deadline=1800.0,
            warm=60.0,
        )
        for number in range(self.count):
            name = f"b{number}"
            builder.prepare(name)
            made = builder.build(name, 0, builder.sources.settle(name, None, lambda revision: None))
            self._specs.append(builder.spec(name, made.number))
            door = socket.socket(socket.AF_UNIX)
            door.bind(str(layout.agent(name).hive_sock))
            door.listen(8)
            door.settimeout(_DEADLINE)
            self._doors.append(door)
            self._handles.append(None)

    def restart(self) -> None:
        """End those that run and start all; returns when every harness has said hello."""
        with ThreadPoolExecutor(self.places) as pool:
            list(pool.map(self._one, range(self.count)))

    def _one(self, number: int) -> None:
        handle, spec = self._handles[number], self._specs[number]
        hello = threading.Thread(target=self._hear, args=(self._doors[number],))
        if handle is not None:
            self._runtime.stop(handle, grace=5.0)
            self._runtime.sweep(spec.folder, spec.name)
        hello.start()
        self._handles[number] = self._runtime.start(spec, deadline=_DEADLINE)
        hello.join(_DEADLINE)
        if hello.is_alive():
            raise TimeoutError(f"{spec.name} did not say hello within {_DEADLINE:.0f} s.")

    @staticmethod
    def _hear(door: socket.socket) -> None:
        connection, _ = door.accept()
        with connection:
            connection.settimeout(_DEADLINE)
            while connection.recv(4096).find(b"\n") < 0:
                pass

    def close(self) -> None:
        """End all."""
        for handle, spec in zip(self._handles, self._specs, strict=True):
            if handle is not None:
                self._runtime.stop(handle, grace=0)
                self._runtime.sweep(spec.folder, spec.name)
        for door in self._doors:
            door.close()

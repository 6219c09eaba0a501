"""A place to start containers in for a test, and to be sure that none is left afterwards."""

import shutil
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from hyperhive.domain.limits import Limits
from hyperhive.domain.records import Handle
from hyperhive.errors import HiveError
from hyperhive.runtimes import proc
from hyperhive.runtimes.base import Bind, LaunchSpec, Runtime
from hyperhive.runtimes.bubblewrap import Bubblewrap
from hyperhive.runtimes.process import Process
from tests.fakes.runtime import FakeRuntime

IDLE = "while :; do sleep 0.05; done"


def make(name: str) -> Runtime:
    """The runtime by that name, or a skip with the reason why it does not work here."""
    runtime: Runtime
    match name:
        case "fake":
            return FakeRuntime(holds=frozenset({"memory"}))
        case "process":
            runtime = Process()
        case _:
            runtime = Bubblewrap()
    probe = runtime.probe()
    if not probe.works:
        pytest.skip(f"{name} does not work here: {probe.reason}; {probe.fix}")
    return runtime


class Lab:
    """Folders below ``root``, and the containers started with them."""

    def __init__(self, runtime: Runtime, root: Path) -> None:
        self.runtime = runtime
        self.root = root
        self.state = root / "state"
        self.state.mkdir(parents=True)
        self.binds = (Bind(self.state, Path("/state"), writable=True),)
        self._started: list[tuple[Path, Handle]] = []

    def spec(self, script: str, *, name: str = "alice", env: dict[str, str] | None = None) -> LaunchSpec:
        """A spec whose payload is a shell script, in the state folder."""
        return LaunchSpec(
            name=name,
            folder=self.root / f"{name}-run",
            argv=("/bin/sh", "-c", script),
            limits=Limits(),
            env=env or {},
            binds=self.binds,
            workdir=self.state,
        )

    def python(self, script: str) -> LaunchSpec:
        """A spec whose payload is a Python script, run by this interpreter."""
        programs = tuple({Path(sys.prefix), Path(sys.base_prefix)})
        return replace(self.spec(""), argv=(sys.executable, "-I", "-c", script), programs=programs)

    def start(self, spec: LaunchSpec, *, deadline: float = 20.0) -> Handle:
        """Start it, and end it when the test ends."""
        handle = self.runtime.start(spec, deadline=deadline)
        self._started.append((spec.folder, handle))
        return handle

    def ended(self, handle: Handle, *, timeout: float = 15.0) -> bool:
        """Wait for the container's end."""
        return proc.wait_end(handle.pid, handle.start_ticks, timeout=timeout)

    def log(self, spec: LaunchSpec) -> str:
        """What it said so far."""
        with suppress(FileNotFoundError):
            return (spec.folder / "log").read_text()
        return ""

    def close(self) -> None:
        """End whatever still runs."""
        for folder, handle in self._started:
            with suppress(HiveError):
                self.runtime.stop(handle, grace=0)
            self.runtime.sweep(folder, "alice")
        shutil.rmtree(self.root, ignore_errors=True)

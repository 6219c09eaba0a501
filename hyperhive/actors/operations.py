"""What Jobs do: build, start, stop, destroy. Blocking code with deadlines; it runs outside every mailbox."""

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hyperhive.actors.builder import Builder, Generation
from hyperhive.actors.job import Job
from hyperhive.actors.layout import Layout
from hyperhive.actors.ports import Doors
from hyperhive.domain.launch import role_of
from hyperhive.domain.records import AgentRecord, Handle
from hyperhive.errors import Broken, HiveError
from hyperhive.runtimes.base import Runtime
from hyperhive.runtimes.log import tail

_QUEUE_DEADLINE = 600.0
_START_DEADLINE = 20.0
_REMOVE_DEADLINE = 200.0


@dataclass(frozen=True, slots=True)
class Operations:
    """The slow operations on an agent.

    Args:
        places: how many may build or start at once; the others wait their turn.
        ready_deadline: seconds within which a started harness says hello.
        grace: seconds between asking a container to end and killing it.
    """

    runtime: Runtime
    builder: Builder
    layout: Layout
    doors: Doors
    places: threading.BoundedSemaphore
    ready_deadline: float
    grace: float

    def start(self, job: Job, record: AgentRecord) -> tuple[str, Generation | None]:
        """Start the newest generation; build one first if there is none."""
        with self._place(job):
            generation = self.builder.build(record.name, 0) if self._unbuilt(record) else None
            number = generation.number if generation is not None else record.generation
            self._launch(job, record, number)
        return "", generation

    def stop(self, job: Job, record: AgentRecord) -> tuple[str, Generation | None]:
        """End the container."""
        self._end(job, record, record.handle)
        return "", None

    def restart(self, job: Job, record: AgentRecord) -> tuple[str, Generation | None]:
        """End the container and start it again."""
        self._end(job, record, record.handle)
        return self.start(job, record)

    def rebuild(self, job: Job, record: AgentRecord, run: bool) -> tuple[str, Generation | None]:
        """Build the next generation and go over to it; back to the old one if it does not come up.

        Args:
            run: whether the container should run afterwards.
        """
        with self._place(job):
            if job.target is not None and record.built_revision == job.target and (record.handle or not run):
                return "nothing to change", None
            generation = self.builder.build(record.name, record.generation)
            if not run:
                return "", generation
            self._end(job, record, record.handle)
            try:
                self._launch(job, record, generation.number)
            except HiveError as error:
                raise Broken(self._go_back(job, record, error.message)) from None
            return "", generation

    def destroy(self, job: Job, record: AgentRecord, purge: bool) -> tuple[str, Generation | None]:
        """End the container, close the doors; with ``purge`` the folders go too."""
        self._end(job, record, record.handle)
        self.doors.close(record.name)
        paths = self.layout.agent(record.name)
        remove_tree(paths.run)
        if purge:
            remove_tree(paths.root)
        return "", None

    def _go_back(self, job: Job, record: AgentRecord, error: str) -> str:
        if self._unbuilt(record):
            return error
        try:
            self._launch(job, record, record.generation)
        except HiveError as again:
            return f"{error}; going back to generation {record.generation} failed too: {again.message}"[:1500]
        return f"{error}; went back to generation {record.generation}"

    def _unbuilt(self, record: AgentRecord) -> bool:
        folder = self.layout.agent(record.name).generations / str(record.generation)
        return record.generation == 0 or not (folder / "launch.json").is_file()

    def _launch(self, job: Job, record: AgentRecord, generation: int) -> None:
        paths = self.layout.agent(record.name)
        self.builder.prepare(record.name)
        self.doors.open(record.name, role_of(record.name))
        found = self.runtime.find(paths.container, record.handle)
        if found is not None:
            self._end(job, record, found)
        self.runtime.sweep(paths.container, record.name)
        job.launching()
        handle = self.runtime.start(self.builder.spec(record.name, generation), deadline=_START_DEADLINE)
        if not job.launched(handle):
            self.runtime.stop(handle, grace=self.grace)
            raise Broken("this operation was given up")
        try:
            job.wait_ready(self.ready_deadline)
        except Broken as error:
            self._end(job, record, handle)
            said = " | ".join(tail(paths.log, lines=5).splitlines())[-600:]
            raise Broken(f"{error.message}; the log ends: {said}" if said else error.message) from None

    def _end(self, job: Job, record: AgentRecord, handle: Handle | None) -> None:
        paths = self.layout.agent(record.name)
        handle = handle or self.runtime.find(paths.container, None)
        if handle is not None:
            if self.runtime.alive(handle):  # one that ended by itself just before was not planned
                job.ending(handle)
            self.runtime.stop(handle, grace=self.grace)
            self.runtime.sweep(paths.container, record.name)
            job.ended(handle)

    @contextlib.contextmanager
    def _place(self, job: Job) -> Iterator[None]:
        if not self.places.acquire(blocking=False):
            job.queued = job.waited = True
            if not self.places.acquire(timeout=_QUEUE_DEADLINE):
                raise Broken(
                    f"Other builds and starts held every place for {_QUEUE_DEADLINE:.0f} s; try again."
                )
            job.queued = False
        try:
            yield
        finally:
            self.places.release()


def remove_tree(path: Path) -> None:
    """Delete a folder and all in it, however deep and whatever its rights; links in it are not followed.

    The system's own ``rm`` does it: what an agent can nest is deeper than Python's recursion goes.

    Raises:
        Broken: something of it could not be removed.
    """
    if not path.is_symlink() and path.is_dir():
        _quietly("chmod", "-R", "u+rwX", "--", str(path))
    said = _quietly("rm", "-rf", "--", str(path))
    if os.path.lexists(path):
        raise Broken(f"{path} could not be removed: {said or 'no reason given'}; remove it by hand.")


def _quietly(*command: str) -> str:
    """Run a command of the system's; the last line of what it complained of."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_REMOVE_DEADLINE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)[:300]
    return done.stderr.decode(errors="replace").strip().rpartition("\n")[2][:300]

"""What a runtime keeps in a container's folder, and the processes it starts: noted, found again, reaped."""

import fcntl
import json
import os
import signal
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from hyperhive.domain.records import CONTAINER_MARK, Handle
from hyperhive.errors import Broken, Deadline, HiveError, Refused
from hyperhive.runtimes import proc
from hyperhive.runtimes.base import LaunchSpec, Runtime
from hyperhive.runtimes.log import tail

MARK = CONTAINER_MARK
"""The environment variable that holds a container's random id; only what we started carries it."""

_NOTE = "container.json"
_STATUS = "status"
_LOG = "log"


class Note(NamedTuple):
    """What is written down before a container's first process starts.

    Args:
        id: random; the value of ``MARK`` in its processes' environment.
    """

    id: str
    runtime: str
    name: str
    boot: str

    @property
    def mark(self) -> bytes:
        """The entry in the environment that proves a process to be of this container."""
        return f"{MARK}={self.id}".encode()


class Status(NamedTuple):
    """What the status file says: the leader's pid, and how the payload ended."""

    leader: int | None = None
    exit: str | None = None


def write_note(folder: Path, note: Note) -> None:
    """Write the note, whole or not at all, and forget the last container's status."""
    (folder / _STATUS).unlink(missing_ok=True)
    fresh = folder / f"{_NOTE}.new"
    fresh.write_text(json.dumps(note._asdict()))
    fresh.replace(folder / _NOTE)


def read_note(folder: Path, runtime: str) -> Note | None:
    """The note of the container last started by ``runtime`` since the host booted."""
    try:
        note = Note(**json.loads((folder / _NOTE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return note if note.runtime == runtime and note.boot == proc.boot_id() else None


def read_status(folder: Path) -> Status:
    """The status file as far as it is written: JSON documents, one a line."""
    try:
        lines = (folder / _STATUS).read_bytes().splitlines()
    except OSError:
        return Status()
    seen: dict[str, object] = {}
    for line in lines:
        with suppress(ValueError):
            if isinstance(document := json.loads(line), dict):
                seen.update(document)
    leader, code = seen.get("child-pid"), seen.get("exit-code")
    return Status(
        leader if isinstance(leader, int) else None, exit_words(code) if isinstance(code, int) else None
    )


def exit_words(code: int) -> str:
    """An exit code in words; above 128 it is a shell's way to name a signal."""
    if code > 128:
        with suppress(ValueError):
            return f"killed by {signal.Signals(code - 128).name}"
    return f"exit status {code}"


def forget(folder: Path) -> None:
    """Remove note and status of a container that has ended; its log stays."""
    for name in (_NOTE, _STATUS):
        (folder / name).unlink(missing_ok=True)


def handle_of(runtime: str, pid: int) -> Handle | None:
    """The handle of a process that runs now."""
    found = proc.stat(pid)
    if found is None or found.dead:
        return None
    return Handle(runtime, pid, found.start_ticks, proc.boot_id())


def open_status(folder: Path) -> int:
    """Open the status file for appending; the descriptor is the caller's."""
    return os.open(folder / _STATUS, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


@contextmanager
def only_one(folder: Path, name: str) -> Iterator[None]:
    """Keep a second start with the same folder out.

    Raises:
        Refused: one is under way.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"'{name}' is being started already.", code="already-running") from None
        yield
    finally:
        os.close(fd)


def start(
    runtime: Runtime,
    spec: LaunchSpec,
    *,
    launch: Callable[[Note], Handle],
    give_up: Callable[[Note], None],
) -> Handle:
    """The outline of every start: nobody else's at the same time, nothing there before, nothing left if it fails.

    Args:
        launch: starts the container, whose note is written by then.
        give_up: ends whatever came of it.

    Raises:
        Refused: it already runs, or is being started.
        Broken: it did not start.
    """
    with only_one(spec.folder, spec.name):
        if runtime.find(spec.folder, None) is not None:
            raise Refused(f"'{spec.name}' already runs; stop it first.", code="already-running")
        runtime.sweep(spec.folder, spec.name)
        note = Note(uuid.uuid4().hex, runtime.name, spec.name, proc.boot_id())
        write_note(spec.folder, note)
        try:
            return launch(note)
        except OSError as error:
            give_up(note)
            raise Broken(f"'{spec.name}' did not start: {error}.", code="start-failed") from error
        except HiveError:
            give_up(note)
            raise


def find(
    runtime: Runtime, folder: Path, recorded: Handle | None, *, leads: Callable[[int], bool]
) -> Handle | None:
    """The outline of ``Runtime.find``: by record, by status file and mark, or by the mark alone.

    Args:
        leads: whether a process with the mark is the leader.
    """
    if recorded is not None and recorded.runtime == runtime.name and runtime.alive(recorded):
        return recorded
    note, leader = read_note(folder, runtime.name), read_status(folder).leader
    if note is None:
        return None
    candidates: Iterable[int] = (leader,) if leader is not None else proc.marked(note.mark)
    for pid in candidates:
        if proc.has_env(pid, note.mark) and leads(pid):
            return handle_of(runtime.name, pid)
    return None


def not_started(folder: Path, name: str, *, ended: bool, otherwise: str) -> Broken:
    """Why a container did not start, with the end of its log.

    Args:
        ended: whether its first process has; else it took too long.
        otherwise: how it ended where nothing was written down.
    """
    said = tail(folder / _LOG, lines=5, max_bytes=2000)
    if ended:
        how = read_status(folder).exit or otherwise
        return Broken(f"'{name}' did not start: {how}; its log ends: {said!r}.", code="start-failed")
    return Deadline(f"'{name}' did not start in time; its log ends: {said!r}.", code="start-deadline")


class Children:
    """The processes we started and have to reap. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[int] = set()

    def spawn(
        self, argv: Sequence[str], *, env: dict[str, str], folder: Path, cwd: Path, fds: tuple[int, ...] = ()
    ) -> int:
        """Start a process in a session of its own, with no tie to us; its output goes to the folder's log.

        Args:
            fds: descriptors it gets under the same numbers, besides 0 to 2; no others.

        Returns:
            Its pid.

        Raises:
            OSError: it cannot be executed.
        """
        mode = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        log = os.open(folder / _LOG, mode, 0o600)
        try:
            with self._lock:
                process = subprocess.Popen(
                    argv,
                    env=env,
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=fds,
                    start_new_session=True,
                )
                self._running.add(process.pid)
        finally:
            os.close(log)
        # It is reaped by its number, here or by init if it outlives us: Popen must not mind that it goes on.
        process.returncode = 0
        return process.pid

    def collect(self) -> None:
        """Reap those that have ended, so that none stays a zombie."""
        with self._lock:
            for pid in tuple(self._running):
                try:
                    done, _ = os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    done = pid
                if done:
                    self._running.discard(pid)

    def end_marked(self, note: Note, *, deadline: float) -> None:
        """End every process that carries the note's mark.

        Raises:
            Broken: one is still there after ``deadline`` seconds.
        """
        gone = proc.freeze_and_kill(lambda: proc.marked(note.mark), deadline=deadline)
        self.collect()
        if not gone:
            raise Broken(f"Processes of '{note.name}' are still there after SIGKILL.", code="stop-failed")

"""Link: the sockets of all agents' harnesses, on the event loop."""

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from hyperhive.domain.names import check_name
from hyperhive.errors import Broken
from hyperhive.hive import Hive
from hyperhive.link.pace import Pace
from hyperhive.link.pulse import Pulse
from hyperhive.link.session import Beat, HarnessSession, Shared
from hyperhive.sockets import Listener, Watch

MAX_STRANGERS = 4
"""Connections of one agent that have not said hello yet; further ones are closed."""
CONNECTS_A_SECOND, CONNECTS_AT_ONCE = 5.0, 20.0

Tasks = dict[asyncio.Task[None], "_Door"]


class _Door:
    """One agent's socket and its connections. ``tasks``: what all doors are about."""

    __slots__ = ("_listener", "_pace", "_shared", "_strangers", "_tasks", "current", "name")

    def __init__(self, *, name: str, bound: socket.socket, shared: Shared, tasks: Tasks) -> None:
        self.name = name
        self.current: HarnessSession | None = None
        self._shared, self._tasks = shared, tasks
        self._strangers = 0
        self._pace = Pace(rate=CONNECTS_A_SECOND, burst=CONNECTS_AT_ONCE)
        self._listener = Listener(watch=shared.watch, bound=bound, takes=self)

    def connected(self, connection: socket.socket) -> None:
        """See ``Takes``."""
        if self._strangers >= MAX_STRANGERS:
            connection.close()
            return
        self._strangers += 1
        HarnessSession(place=self, shared=self._shared, taken=connection).start()

    def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """See ``Place``."""

        async def working() -> None:
            await work()

        task = asyncio.get_running_loop().create_task(working())
        self._tasks[task] = self
        task.add_done_callback(self._tasks.pop)

    async def wait(self) -> None:
        """See ``Place``."""
        await self._pace.spend(1)

    def known(self, session: HarnessSession | None) -> None:
        """See ``Place``."""
        self._strangers -= 1
        if session is not None:
            previous, self.current = self.current, session
            if previous is not None:
                previous.close()

    def left(self, session: HarnessSession) -> None:
        """See ``Place``."""
        if self.current is session:
            self.current = None

    def shut(self) -> None:
        """Listen no more, and close the newest connection."""
        self._listener.close()
        if self.current is not None:
            self.current.close()


class Link:
    """Listens on ``run/agents/<name>/hive.sock`` for each agent it was told of.

    Args:
        hive: who gets what harnesses say. Whoever comes in by an agent's socket is that agent.
        run: the folder of the sockets.
        beat: when harnesses are pinged.
    """

    def __init__(self, *, hive: Hive, run: Path, beat: Beat | None = None) -> None:
        self._run = run
        self._shared = Shared(hive, Watch(), Pulse(), beat or Beat())
        self._doors: dict[str, _Door] = {}
        self._tasks: Tasks = {}
        self._lock = asyncio.Lock()

    async def open(self, name: str) -> None:
        """Listen for the harness of ``name``; no effect if that is so already.

        Raises:
            Invalid: ``name`` cannot name an agent.
            Broken: the socket cannot be made.
        """
        check_name(name)
        async with self._lock:
            if name not in self._doors:
                self._doors[name] = self._listen(name)

    def _path(self, name: str) -> Path:
        return self._run / "agents" / name / "hive.sock"

    def _listen(self, name: str) -> _Door:
        path = self._path(name)
        try:
            for part in (self._run, self._run / "agents", path.parent):
                part.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The folder stays: a container that runs on sees it by its inode.
            if path.is_symlink() or (path.exists() and not stat.S_ISSOCK(path.stat().st_mode)):
                raise Broken(f"{path} is no socket; remove it.", code="bad-socket")
            path.unlink(missing_ok=True)
            bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                os.fchmod(bound.fileno(), 0o600)  # before it is bound: the agent may write in this folder
                bound.bind(str(path))
            except OSError:
                bound.close()
                raise
            return _Door(name=name, bound=bound, shared=self._shared, tasks=self._tasks)
        except OSError as error:
            raise Broken(f"{path} cannot be listened on: {error}.", code="bad-socket") from None

    async def close(self, name: str) -> None:
        """Stop listening for ``name``, end its connections, remove its socket."""
        async with self._lock:
            if (door := self._doors.pop(name, None)) is not None:
                await self._shut([door])

    async def aclose(self) -> None:
        """Close all."""
        async with self._lock:
            doors, self._doors = list(self._doors.values()), {}
            await self._shut(doors)

    async def _shut(self, doors: Sequence[_Door]) -> None:
        ours = {id(door) for door in doors}
        under_way = self._tasks_of(ours)
        for door in doors:
            door.shut()
        ending = self._tasks_of(ours)  # also those that tell of the connections that were at rest
        await asyncio.sleep(0)  # each is to begin: one that is cancelled before tells nobody of its end
        for task in under_way:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        for door in doors:
            with contextlib.suppress(OSError):
                self._path(door.name).unlink(missing_ok=True)

    def _tasks_of(self, doors: set[int]) -> list[asyncio.Task[None]]:
        return [task for task, door in self._tasks.items() if id(door) in doors]

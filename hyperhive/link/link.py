"""Link: the sockets of all agents' harnesses, on the event loop."""

import asyncio
import contextlib
import logging
import stat
from dataclasses import dataclass, field
from pathlib import Path

from hyperhive.domain.names import check_name
from hyperhive.errors import Broken
from hyperhive.hive import Hive
from hyperhive.link.pace import Pace
from hyperhive.link.session import HarnessSession

_log = logging.getLogger(__name__)

MAX_STRANGERS = 4
"""Connections of one agent that have not said hello yet; further ones are closed."""
CONNECTS_A_SECOND, CONNECTS_AT_ONCE = 5.0, 20.0


@dataclass(slots=True)
class _Door:
    server: asyncio.Server
    path: Path
    pace: Pace
    strangers: int = 0
    current: HarnessSession | None = None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Link:
    """Listens on ``run/agents/<name>/hive.sock`` for each agent it was told of.

    Args:
        hive: who gets what harnesses say. Whoever comes in by an agent's socket is that agent.
        run: the folder of the sockets.
    """

    def __init__(self, *, hive: Hive, run: Path) -> None:
        self._hive, self._run = hive, run
        self._doors: dict[str, _Door] = {}
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
                self._doors[name] = await self._listen(name)

    async def _listen(self, name: str) -> _Door:
        folder = self._run / "agents" / name
        path = folder / "hive.sock"
        try:
            for part in (self._run, self._run / "agents", folder):
                part.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The folder stays: a container that runs on sees it by its inode.
            if path.is_symlink() or (path.exists() and not stat.S_ISSOCK(path.stat().st_mode)):
                raise Broken(f"{path} is no socket; remove it.", code="bad-socket")
            path.unlink(missing_ok=True)
            server = await asyncio.start_unix_server(
                lambda reader, writer: self._accept(name, reader, writer), path, limit=64 * 1024
            )
            path.chmod(0o600)
        except OSError as error:
            raise Broken(f"{path} cannot be listened on: {error}.", code="bad-socket") from None
        return _Door(server, path, Pace(rate=CONNECTS_A_SECOND, burst=CONNECTS_AT_ONCE))

    def _accept(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        door = self._doors.get(name)
        if door is None or door.strangers >= MAX_STRANGERS:
            writer.transport.abort()
            return
        door.strangers += 1
        task = asyncio.create_task(self._serve(name, door, reader, writer))
        door.tasks.add(task)
        task.add_done_callback(door.tasks.discard)

    async def _serve(
        self, name: str, door: _Door, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        session = HarnessSession(name=name, hive=self._hive, reader=reader, writer=writer)
        try:
            try:
                await door.pace.spend(1)
                hello = await session.hello()
            finally:
                door.strangers -= 1
            if hello is None:
                return
            previous, door.current = door.current, session
            if previous is not None:
                previous.close()
            serving = session.serve(hello)
            del hello, previous
            await serving
        except Exception:
            _log.exception("%s: serving its harness failed", name)
        finally:
            if door.current is session:
                door.current = None
            session.close()

    async def close(self, name: str) -> None:
        """Stop listening for ``name``, end its connections, remove its socket."""
        async with self._lock:
            if (door := self._doors.pop(name, None)) is not None:
                await self._shut(door)

    async def aclose(self) -> None:
        """Close all."""
        async with self._lock:
            doors, self._doors = list(self._doors.values()), {}
            for door in doors:
                await self._shut(door)

    async def _shut(self, door: _Door) -> None:
        door.server.close()
        tasks = tuple(door.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(OSError):
            door.path.unlink(missing_ok=True)

"""The agents' MCP sockets: one per agent, which is that agent and nobody else.

Nothing here imports the SDK before the first connection: it costs 0.4 s, and the dashboard answers meanwhile.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hyperhive.domain.names import check_name
from hyperhive.errors import Broken
from hyperhive.hive import Hive
from hyperhive.mcp.loading import load
from hyperhive.shortage import AGAIN
from hyperhive.sockets import Listener, Watch

if TYPE_CHECKING:
    from hyperhive.mcp.server import HiveServer
    from hyperhive.mcp.session import LineSession

MAX_CONNECTIONS = 16
"""Connections on one agent's socket; a further one is closed."""
MAX_LINE = 1024 * 1024
"""Bytes of one message; a body of 64 KiB fits, however it is escaped."""
MAX_PATH = 107
"""Bytes of a socket's path that the kernel takes."""
CLOSE_DEADLINE = 5.0
"""Seconds that ending an agent's connections may take."""
FLUSH_DEADLINE = 1.0
"""Seconds that a client may take to read the last of it when its connection is ended."""
LOAD_DEADLINE = 20.0
"""Seconds in which the SDK must have been loaded for a connection; clients wait about half a minute."""

T = TypeVar("T")
_log = logging.getLogger(__name__)


class _Door:
    """One agent's socket and who is connected to it."""

    __slots__ = (
        *(
            "_building",
            "_connections",
            "_crowded",
            "_hive",
            "_inode",
            "_listener",
            "_run",
            "_server",
            "_watch",
        ),
        *("name", "role"),
    )

    def __init__(self, *, name: str, role: str, run: Path, hive: Hive, watch: Watch) -> None:
        self.name = name
        self.role = role
        self._run = run
        self._hive = hive
        self._watch = watch
        # Nothing of the next three before somebody comes: there is a door for each agent.
        self._building: asyncio.Lock | None = None
        self._server: HiveServer | None = None
        self._connections: set[asyncio.Task[None]] | None = None
        self._listener: Listener | None = None
        self._inode = 0
        self._crowded = False

    @property
    def path(self) -> Path:
        """Where the socket is."""
        return self._run / "agents" / self.name / "mcp.sock"

    @property
    def stands(self) -> bool:
        """Whether the socket is still there and still ours."""
        with contextlib.suppress(OSError):
            return self._listener is not None and self.path.lstat().st_ino == self._inode
        return False

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return len(self._connections or ())

    def listen(self) -> None:
        """Replace whatever is at the path by a socket that listens."""
        bound = _bind(self.path)
        self._inode = self.path.lstat().st_ino
        self._listener = Listener(watch=self._watch, bound=bound, takes=self)

    async def aclose(self) -> None:
        """Stop listening, end the connections, remove the socket."""
        if self.stands:
            self.path.unlink(missing_ok=True)
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        await asyncio.sleep(0)  # who was let in just now begins: cancelled before, it would not be closed
        ending = tuple(self._connections or ())
        for connection in ending:
            connection.cancel()
        if ending:
            await asyncio.wait(ending, timeout=CLOSE_DEADLINE)

    def connected(self, connection: socket.socket) -> None:
        """See ``Takes``."""
        if self.connections >= MAX_CONNECTIONS:
            if not self._crowded:  # once, until there is room: an agent that knocks on must not fill the log
                _log.warning("'%s' has %d MCP connections; more are refused.", self.name, MAX_CONNECTIONS)
            self._crowded = True
            connection.close()
            return
        self._crowded = False
        if self._connections is None:
            self._connections = set()
        task = asyncio.get_running_loop().create_task(self._serve(connection))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, connection: socket.socket) -> None:
        writer = None
        try:
            reader, writer = await asyncio.open_unix_connection(sock=connection, limit=MAX_LINE)
            session = await _as_soon_as_it_can(_line_session)
            await session(reader=reader, writer=writer).serve(await self._built())
        except OSError as error:
            _log.warning("An MCP connection of '%s' ended: %s.", self.name, error)
        except Exception:
            # One connection's fault ends that connection.
            _log.exception("An MCP connection of '%s' failed.", self.name)
        finally:
            if writer is None:
                connection.close()
            else:
                await _closed(writer)

    async def _built(self) -> "HiveServer":
        if self._building is None:
            self._building = asyncio.Lock()
        async with self._building:
            if self._server is None:
                self._server = await _as_soon_as_it_can(lambda: _build(self._hive, self.name, self.role))
            return self._server


async def _as_soon_as_it_can(load: Callable[[], T]) -> T:
    """What ``load`` loads, in a thread; without descriptors or a thread it is tried again for ``LOAD_DEADLINE``.

    A connection that ended for that would cost an agent its tools for a whole turn.

    Raises:
        OSError, RuntimeError: there were none in all that time.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + LOAD_DEADLINE
    while True:
        try:
            return await asyncio.to_thread(load)
        except (OSError, RuntimeError):
            if loop.time() + AGAIN > end:
                raise
        await asyncio.sleep(AGAIN)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        async with asyncio.timeout(FLUSH_DEADLINE):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        writer.transport.abort()


class McpSockets:
    """Opens and closes agents' MCP sockets at ``run/agents/<name>/mcp.sock``. On the event loop.

    Args:
        run: the folder of the sockets; see ``docs/operate.md``.
    """

    def __init__(self, *, hive: Hive, run: Path) -> None:
        self._hive = hive
        self._run = run
        self._watch = Watch()
        self._doors: dict[str, _Door] = {}
        self._changing = asyncio.Lock()

    async def open(self, name: str, role: str) -> None:
        """Listen for agent ``name``; nothing happens if that is so already.

        Args:
            role: ``agent`` or ``manager``: which tools there are.

        Raises:
            Invalid: the name cannot name an agent.
            Broken: the socket cannot be made.
        """
        check_name(name)
        async with self._changing:
            door = self._doors.get(name)
            if door is not None and door.role == role and door.stands:
                return
            if door is not None:
                await self._doors.pop(name).aclose()
            door = _Door(name=name, role=role, run=self._run, hive=self._hive, watch=self._watch)
            try:
                door.listen()
            except OSError as error:
                reason = error.strerror or str(error)
                raise Broken(
                    f"The MCP socket of '{name}' cannot be made at {door.path}: {reason}; check that folder."
                ) from error
            self._doors[name] = door

    async def close(self, name: str) -> None:
        """Stop listening for agent ``name`` and end its connections; one that is not open is no error."""
        async with self._changing:
            door = self._doors.pop(name, None)
            if door is not None:
                await door.aclose()

    async def aclose(self) -> None:
        """Close all."""
        async with self._changing:
            doors, self._doors = tuple(self._doors.values()), {}
            await asyncio.gather(*(door.aclose() for door in doors))

    def connections(self, name: str) -> int:
        """Connections that are open on agent ``name``'s socket."""
        door = self._doors.get(name)
        return 0 if door is None else door.connections

    async def warm(self) -> None:
        """Import the SDK now, in a thread, so that the first connection does not wait for it."""
        await asyncio.to_thread(_line_session)


def _bind(path: Path) -> socket.socket:
    """A socket bound at ``path``, 0600, in a folder with 0700. Follows no link that stands there."""
    if len(os.fsencode(path)) > MAX_PATH:
        raise OSError(0, f"the path has more than {MAX_PATH} bytes; set HYPERHIVE_RUN to a shorter folder")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        # Before it is bound: the agent may write in this folder, and chmod would follow its link. Not by the
        # mask either: that is the whole process's, and a folder another thread makes meanwhile could not be entered.
        os.fchmod(bound.fileno(), 0o600)
        bound.bind(str(path))
    except OSError:
        bound.close()
        raise
    return bound


def _line_session() -> "type[LineSession]":
    load()
    from hyperhive.mcp.session import LineSession

    return LineSession


def _build(hive: Hive, name: str, role: str) -> "HiveServer":
    load()
    if role == "manager":
        from hyperhive.mcp.manager import manager_server

        return manager_server(hive=hive, name=name)
    from hyperhive.mcp.agent import agent_server

    return agent_server(hive=hive, name=name)

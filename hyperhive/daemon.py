"""The composition root: it chooses parts, as ``assembly.py`` does. It reads as a list and stops in reverse."""

import asyncio
import contextlib
import gc
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import astuple
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from hyperhive import __version__
from hyperhive.actors.board import Board
from hyperhive.actors.layout import Layout
from hyperhive.actors.watcher import Watcher
from hyperhive.bridge import Bridge, on_the_loop
from hyperhive.domain.views import HiveView
from hyperhive.dump import Dump, mailbox
from hyperhive.ending import Ending
from hyperhive.errors import Broken, HiveError, Refused
from hyperhive.ground import Ground
from hyperhive.hive import Hive
from hyperhive.home import load_secret
from hyperhive.mode import Mode, live, remember_port, wanted_port
from hyperhive.programs import Programs
from hyperhive.rehearsal.keys import Keys
from hyperhive.rehearsal.standby import Standby
from hyperhive.running.recorded import RecordedHive
from hyperhive.runtimes.base import Runtime
from hyperhive.settings import Settings
from hyperhive.store.database import Database
from hyperhive.web import pages
from hyperhive.web.opening import Opening, first_page
from hyperhive.web.security import Security
from hyperhive.web.server import Server, bind, serve

if TYPE_CHECKING:
    from hyperhive.assembly import Assembly
    from hyperhive.mcp.http import McpHttp

log = logging.getLogger(__name__)

WHO_WAITED = 0.1
"""Seconds for those who waited at the door when it opened, before more is loaded beside them."""


class Daemon:
    """Starts everything in order, serves until it is asked to stop, and stops in reverse.

    Args:
        settings: everything that can be set.
        programs: what was asked of those that a hive stands on.
        dump: is given the mailboxes once there are some.
        ending: says when to stop.
        open_browser: open the dashboard once it answers.
    """

    def __init__(
        self, settings: Settings, programs: Programs, dump: Dump, ending: Ending, *, open_browser: bool
    ) -> None:
        self._settings = settings
        self._programs = programs
        self._dump = dump
        self._ending = ending
        self._open_browser = open_browser
        self._stop = asyncio.Event()
        self._servers: list[Server] = []
        self._streams: list[Callable[[], None]] = []
        self._rehearsal: Standby | None = None

    async def main(self) -> None:
        """Start everything in order; stop it in reverse when asked to."""
        self._listen()
        async with contextlib.AsyncExitStack() as stack:
            listener = stack.enter_context(contextlib.closing(_bind(self._settings)))
            # What cannot be served is refused before the database or any agent is touched.
            security = self._security(listener)
            pages.prepare_first()
            try:
                runtime, claude = await self._programs.answers()
            except HiveError:
                if self._stop.is_set():  # a terminal's ^C ended the programs too
                    return
                raise
            ground = self._ground(stack, runtime, claude)
            board = ground.board()
            opening = Opening(None if board is None else _first_page(board, ground.database, security))
            self._servers.append(Server(app=opening, stopping=(self._end_streams, opening.shut)))
            serving = [
                asyncio.create_task(serve(self._servers[0], listener)),
                asyncio.create_task(self._go_on(stack, ground, board, opening, security)),
            ]
            await together(serving, self._stop, self._asked_to_stop)

    async def _go_on(
        self,
        stack: contextlib.AsyncExitStack,
        ground: Ground,
        board: Board | None,
        opening: Opening,
        security: Security,
    ) -> None:
        """Put together what the first page does not need, once those at the door have it, and serve all of it."""
        await opening.calm(WHO_WAITED)
        if self._stop.is_set():
            return
        pages.prepare()
        # Its import takes as long as all that was done so far.
        from hyperhive.assembly import Assembly

        assembly = Assembly(ground, board)
        tree = assembly.tree
        self._dump.mailboxes = lambda: (mailbox(*astuple(box)) for box in tree.gauges.mailboxes())
        assembly.start(stack)
        await self._serve(stack, assembly, opening, security)

    def _listen(self) -> None:
        """Stop when asked to. The loop's own way of hearing signals is the dump's."""
        self._ending.told_to(on_the_loop(self._asked_to_stop))
        self._dump.nudge = on_the_loop(lambda: None)

    # -- parts

    def _ground(self, stack: contextlib.AsyncExitStack, runtime: Runtime, claude: Path) -> Ground:
        settings = self._settings
        database, watcher, bridge = self._opened(stack), self._watching(stack), self._bridged(stack)
        mode = self._mode(stack)
        return Ground(
            settings=settings,
            runtime=runtime,
            claude=claude,
            layout=Layout(home=settings.home, run=settings.run),
            database=database,
            watcher=watcher,
            bridge=bridge,
            mode=mode,
            view=self._view(runtime, mode, watcher),
            now=_now,
        )

    def _opened(self, stack: contextlib.AsyncExitStack) -> Database:
        database = Database(self._settings.home / "hive.sqlite", now=_now)
        database.open()
        stack.callback(database.close)
        return database

    def _watching(self, stack: contextlib.AsyncExitStack) -> Watcher:
        watcher = Watcher()
        watcher.start()
        stack.callback(watcher.stop)
        return watcher

    def _bridged(self, stack: contextlib.AsyncExitStack) -> Bridge:
        bridge = Bridge()
        bridge.open()
        stack.callback(bridge.close)
        return bridge

    def _mode(self, stack: contextlib.AsyncExitStack) -> Mode:
        settings = self._settings
        if not settings.rehearse and (mode := live(settings.home)) is not None:
            return mode
        keys = Keys(secret=load_secret(settings.home / "rehearsal.key"))
        port = wanted_port(settings.home, settings.rehearsal_port)
        self._rehearsal = Standby(scenario=settings.scenario, keys=keys, port=port)
        stack.push_async_callback(self._rehearsal.stop)
        url = self._rehearsal.url
        remember_port(settings.home, url)
        return Mode(
            "rehearsal", lambda agent: {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": keys.of(agent)}
        )

    def _view(self, runtime: Runtime, mode: Mode, watcher: Watcher) -> HiveView:
        return HiveView(
            name=self._settings.name,
            mode=mode.name,
            runtime=runtime.name,
            confined=runtime.confined,
            version=__version__,
            started=_now(),
            trouble=(watcher.trouble,) if watcher.trouble else (),
        )

    # -- serving

    def _security(self, listener: socket.socket) -> Security:
        settings, port = self._settings, listener.getsockname()[1]
        return Security.from_home(
            settings.home, host=settings.host, port=port, allowed_hosts=settings.allowed_hosts
        )

    async def _serve(
        self, stack: contextlib.AsyncExitStack, assembly: "Assembly", opening: Opening, security: Security
    ) -> None:
        faces = assembly.faces(security)
        host = Server(app=faces.host, stopping=(faces.host.state.streams.close,))
        host_sock = self._settings.run / "host.sock"
        stack.callback(host_sock.unlink, missing_ok=True)
        bound = stack.enter_context(_host_socket(host_sock))
        self._streams.append(faces.end_streams)
        self._servers.append(host)
        opening.open(faces.operator)
        self._announce(assembly.hive, security)
        async with asyncio.TaskGroup() as serving:
            serving.create_task(serve(host, bound))
            serving.create_task(self._complete(faces.mcp))

    def _end_streams(self) -> None:
        for end in self._streams:
            end()

    async def _complete(self, mcp: "McpHttp") -> None:
        """Load what nobody waits for at the door, then run with it: who asks for it meanwhile waits a moment."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), WHO_WAITED)
            return
        gc.freeze()  # nothing of what a start makes is ever garbage
        gc.enable()
        if self._rehearsal is not None:
            await self._rehearsal.serve(self._stop)
        async with mcp.running():
            await self._stop.wait()

    def _announce(self, hive: Hive, security: Security) -> None:
        view = hive.snapshot().hive
        walls = view.runtime if view.confined else f"{view.runtime} (no walls around agents)"
        link = security.entry_link()
        _say(
            f"hyperhive {__version__}: {view.mode}, {walls}\n"
            f"Dashboard: {link}\n"
            "The link works once, within ten minutes; 'hyperhive open' makes another. Ctrl-C stops the hive's "
            "daemon, its agents run on."
        )
        if self._open_browser:
            import webbrowser  # hardly a start needs it

            threading.Thread(target=webbrowser.open, args=(link,), daemon=True).start()

    def _asked_to_stop(self) -> None:
        self._stop.set()
        for server in self._servers:
            server.should_exit = True


async def together(
    serving: Sequence[asyncio.Task[None]], stop: asyncio.Event, end: Callable[[], None]
) -> None:
    """Wait for ``stop``, or for the first of ``serving`` to end; then ``end`` all of them.

    Raises:
        HiveError: what a part of the start was refused for.
        Broken: one failed though nobody had asked it to stop: who restarts what fails is to notice.
    """
    watching = asyncio.create_task(stop.wait())
    await asyncio.wait({watching, *serving}, return_when=asyncio.FIRST_COMPLETED)
    asked = stop.is_set()
    watching.cancel()
    end()
    ended = await asyncio.gather(*serving, return_exceptions=True)
    failed = [error for error in ended if isinstance(error, BaseException)]
    for error in failed:
        if isinstance(error, HiveError) and not asked:
            raise error
        log.error("A server failed.", exc_info=error)
    if failed and not asked:
        raise Broken("A part of the daemon failed, and so it ended; its log says why. Start it again.")


def _say(text: str) -> None:
    """Print what the operator waits for. Nobody may, or a disk may be full: the hive can be used all the same."""
    try:
        print(text, flush=True)  # noqa: T201
    except OSError as error:
        log.warning("The dashboard's address cannot be printed (%s); see 'hyperhive open'.", error.strerror)
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())  # else what is left of it is tried again at the end
        os.close(nothing)


def _first_page(board: Board, database: Database, security: Security) -> ASGIApp:
    return first_page(hive=RecordedHive(board=board, database=database), security=security)


def _bind(settings: Settings) -> socket.socket:
    try:
        return bind(settings.host, settings.port)
    except OSError as error:
        raise Refused(
            f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}; choose another --port.",
            code="port-taken",
        ) from None


def _host_socket(path: Path) -> socket.socket:
    """The command line's socket: 0600, and ours to replace, for we hold the run folder's lock."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    # From here on a command waits for the server instead of finding nobody: the address is told before it runs.
    listener.listen(128)
    listener.setblocking(False)
    return listener


def _now() -> datetime:
    return datetime.now(UTC)

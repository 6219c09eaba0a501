"""The composition root: the only file that chooses parts. It reads as a list and stops in reverse."""

import asyncio
import contextlib
import ipaddress
import logging
import os
import random
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hyperhive import __version__
from hyperhive.actors.builder import Builder
from hyperhive.actors.core import Shared
from hyperhive.actors.layout import Layout
from hyperhive.actors.observer import CREDENTIALS, Credentials, own_revision, stored_token
from hyperhive.actors.operations import Operations
from hyperhive.actors.tree import Services, Tree
from hyperhive.actors.watcher import Watcher
from hyperhive.bridge import Bridge
from hyperhive.claude_code import find_claude
from hyperhive.domain.views import HiveView
from hyperhive.errors import HiveError, Refused
from hyperhive.home import Claim, check_run, load_secret, raise_open_files
from hyperhive.link.link import Link
from hyperhive.mcp.http import McpHttp
from hyperhive.mcp.sockets import McpSockets
from hyperhive.rehearsal.keys import Keys
from hyperhive.rehearsal.scenario import builtin, load
from hyperhive.rehearsal.server import Rehearsal
from hyperhive.running.hive import RunningHive
from hyperhive.runtimes.base import Runtime
from hyperhive.runtimes.choose import all_runtimes, choose
from hyperhive.runtimes.proc import boot_id
from hyperhive.settings import Settings
from hyperhive.store.database import Database
from hyperhive.web.app import build, build_host
from hyperhive.web.security import Security
from hyperhive.web.server import Server, bind, serve

log = logging.getLogger(__name__)

LIVE_KEYS = ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_AUTH_TOKEN")
"""What in the daemon's environment makes a hive live; handed to Claude alone."""
PASSED_ON = (*LIVE_KEYS, "ANTHROPIC_BASE_URL")
_DOORS_DEADLINE = 10.0


def run(settings: Settings, *, open_browser: bool = False) -> int:
    """Run a hive until SIGTERM or SIGINT.

    Args:
        settings: everything that can be set.
        open_browser: open the dashboard once it answers.

    Returns:
        The exit status: 0, or 1 with one line on stderr when it could not start.
    """
    logging.basicConfig(
        level=settings.log_level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    os.umask(0o077)
    raise_open_files()
    try:
        check_host(settings)
        check_run(settings.run)
        with Claim(settings.home), Claim(settings.run):
            asyncio.run(_Daemon(settings, open_browser).main())
    except HiveError as error:
        print(f"hyperhive: {error.message}", file=sys.stderr)  # noqa: T201 - the one line a failed start leaves
        return 1
    return 0


def check_host(settings: Settings) -> None:
    """Refuse to listen beyond loopback unless that was asked for.

    Raises:
        Refused: with the flag that asks for it.
    """
    try:
        loopback = settings.host == "localhost" or ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        loopback = False
    if not loopback and not settings.public:
        raise Refused(
            f"{settings.host} is reachable from other machines; add --public if that is meant "
            "(the dashboard then wants TLS in front of it).",
            code="not-loopback",
        )


@dataclass(frozen=True, slots=True)
class _Mode:
    """How Claude is reached: live, or against the scripted model."""

    name: Literal["rehearsal", "live"]
    env: Callable[[str], dict[str, str]]


class _LoopDoors:
    """Opens an agent's sockets on the loop, for Jobs."""

    def __init__(self, *, bridge: Bridge, link: Link, sockets: McpSockets) -> None:
        self._bridge = bridge
        self._link = link
        self._sockets = sockets

    def open(self, name: str, role: Literal["manager", "agent"]) -> None:
        self._bridge.wait(self._open(name, role), deadline=_DOORS_DEADLINE)

    def close(self, name: str) -> None:
        self._bridge.wait(self._close(name), deadline=_DOORS_DEADLINE)

    async def _open(self, name: str, role: Literal["manager", "agent"]) -> None:
        await self._link.open(name)
        await self._sockets.open(name, role)

    async def _close(self, name: str) -> None:
        await self._link.close(name)
        await self._sockets.close(name)


class _Late:
    """Doors that are made after the tree, which they lead to."""

    def __init__(self) -> None:
        self.doors: _LoopDoors | None = None

    def open(self, name: str, role: Literal["manager", "agent"]) -> None:
        assert self.doors is not None
        self.doors.open(name, role)

    def close(self, name: str) -> None:
        assert self.doors is not None
        self.doors.close(name)


class _Daemon:
    def __init__(self, settings: Settings, open_browser: bool) -> None:
        self._settings = settings
        self._open_browser = open_browser
        self._stop = asyncio.Event()
        self._servers: list[Server] = []

    async def main(self) -> None:
        """Start everything in order; stop it in reverse when asked to."""
        settings = self._settings
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._asked_to_stop)
        async with contextlib.AsyncExitStack() as stack:
            listener = stack.enter_context(contextlib.closing(_bind(settings)))
            runtime = choose(settings.runtime, all_runtimes())
            claude, _ = find_claude(settings.claude, cache=settings.home / "claude-versions.json")
            database = Database(settings.home / "hive.sqlite", now=_now)
            database.open()
            stack.callback(database.close)
            watcher = Watcher()
            watcher.start()
            stack.callback(watcher.stop)
            bridge = Bridge()
            bridge.open()
            stack.callback(bridge.close)
            mode = await self._mode(stack)
            doors = _Late()
            tree = self._tree(bridge, watcher, database, runtime, claude, mode, doors)
            hive = RunningHive(tree=tree, database=database, bridge=bridge, watcher=watcher, runtime=runtime)
            link, sockets = Link(hive=hive, run=settings.run), McpSockets(hive=hive, run=settings.run)
            doors.doors = _LoopDoors(bridge=bridge, link=link, sockets=sockets)
            tree.start()
            stack.push_async_callback(asyncio.to_thread, tree.stop)
            stack.push_async_callback(sockets.aclose)
            stack.push_async_callback(link.aclose)
            await self._serve(stack, hive, claude, listener)

    # -- parts

    async def _mode(self, stack: contextlib.AsyncExitStack) -> _Mode:
        settings = self._settings
        found = {key: os.environ[key] for key in PASSED_ON if os.environ.get(key)}
        stored = any((settings.home / "agents").glob(f"*/claude/{CREDENTIALS}"))
        if not settings.rehearse and any(key in found for key in LIVE_KEYS):
            return _Mode("live", lambda agent: found)
        if not settings.rehearse and stored and _any_login(settings.home):
            return _Mode("live", lambda agent: {k: v for k, v in found.items() if k not in LIVE_KEYS})
        keys = Keys(secret=load_secret(settings.home / "rehearsal.key"))
        scenario = load(settings.scenario) if settings.scenario is not None else builtin()
        rehearsal = Rehearsal(scenario=scenario, keys=keys, refused=keys.refused)
        stack.push_async_callback(rehearsal.stop)
        url = await rehearsal.start(port=_wanted_port(settings))
        _remember_port(settings, url)
        return _Mode(
            "rehearsal", lambda agent: {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": keys.of(agent)}
        )

    def _tree(
        self,
        bridge: Bridge,
        watcher: Watcher,
        database: Database,
        runtime: Runtime,
        claude: Path,
        mode: _Mode,
        doors: _Late,
    ) -> Tree:
        settings = self._settings
        package = Path(__file__).resolve().parent
        layout = Layout(home=settings.home, run=settings.run)
        builder = Builder(
            layout=layout,
            runtime=runtime,
            own=own_revision(package, __version__),
            package=package,
            claude=claude,
            turn_deadline=settings.turn_deadline,
            warm=settings.warm,
        )
        operations = Operations(
            runtime=runtime,
            builder=builder,
            layout=layout,
            doors=doors,
            places=threading.BoundedSemaphore(settings.builds),
            ready_deadline=settings.ready_deadline,
            grace=settings.stop_grace,
        )

        def shared(services: Services) -> Shared:
            return Shared(
                store=services.store,
                hub=services.hub,
                database=database,
                watches=watcher,
                runtime=runtime,
                builder=builder,
                operations=operations,
                layout=layout,
                credentials=Credentials(shared=mode.env),
                now=_now,
                random=random.random,
                boot=boot_id(),
                rehearsal=mode.name == "rehearsal",
                tick=settings.tick,
                turn_deadline=settings.turn_deadline,
            )

        view = HiveView(
            name=settings.name,
            mode=mode.name,
            runtime=runtime.name,
            confined=runtime.confined,
            version=__version__,
            started=_now(),
            trouble=(watcher.trouble,) if watcher.trouble else (),
        )
        return Tree(
            database=database, frames=bridge.feed, watcher=watcher, hive=view, now=_now, shared=shared
        )

    # -- serving

    async def _serve(
        self, stack: contextlib.AsyncExitStack, hive: RunningHive, claude: Path, listener: socket.socket
    ) -> None:
        settings = self._settings
        host, port = listener.getsockname()[:2]
        security = Security.from_home(
            settings.home, host=settings.host, port=port, allowed_hosts=settings.allowed_hosts
        )
        mcp = McpHttp(hive=hive)
        app = build(hive=hive, security=security, mcp_app=mcp.app)
        host_app = build_host(hive=hive, security=security, more=_host_routes(hive, claude))
        await stack.enter_async_context(mcp.running())
        self._servers = [
            Server(app=app, stopping=(app.state.streams.close, mcp.stop)),
            Server(app=host_app, stopping=(host_app.state.streams.close,)),
        ]
        host_sock = settings.run / "host.sock"
        stack.callback(host_sock.unlink, missing_ok=True)
        serving = [
            asyncio.create_task(serve(self._servers[0], listener)),
            asyncio.create_task(serve(self._servers[1], stack.enter_context(_host_socket(host_sock)))),
        ]
        watching = asyncio.create_task(self._stop.wait())
        self._announce(hive, security, host, port)
        await asyncio.wait({watching, *serving}, return_when=asyncio.FIRST_COMPLETED)
        watching.cancel()
        self._asked_to_stop()
        for ended in await asyncio.gather(*serving, return_exceptions=True):
            if isinstance(ended, BaseException):
                log.error("A server failed.", exc_info=ended)

    def _announce(self, hive: RunningHive, security: Security, host: str, port: int) -> None:
        view = hive.snapshot().hive
        walls = view.runtime if view.confined else f"{view.runtime} (no walls around agents)"
        link = security.entry_link()
        print(  # noqa: T201 - what the operator waits for
            f"hyperhive {__version__}: {view.mode}, {walls}\n"
            f"Dashboard: {link}\n"
            "The link works once, within ten minutes; 'hyperhive open' makes another. Ctrl-C stops the hive's "
            "daemon, its agents run on.",
            flush=True,
        )
        if self._open_browser:
            threading.Thread(target=webbrowser.open, args=(link,), daemon=True).start()

    def _asked_to_stop(self) -> None:
        self._stop.set()
        for server in self._servers:
            server.should_exit = True


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
    listener.setblocking(False)
    return listener


def _host_routes(hive: RunningHive, claude: Path) -> list[BaseRoute]:
    async def shell(request: Request) -> Response:
        command = ("/bin/sh", "-c", "command -v bash >/dev/null && exec bash -l || exec sh")
        return JSONResponse({"argv": list(await hive.enter(request.path_params["name"], command))})

    async def login(request: Request) -> Response:
        return JSONResponse({"folder": hive.login_folder(request.path_params["name"]), "claude": str(claude)})

    return [Route("/api/agents/{name}/shell", shell), Route("/api/agents/{name}/login", login)]


def _now() -> datetime:
    return datetime.now(UTC)


def _any_login(home: Path) -> bool:
    return any(stored_token(path) for path in (home / "agents").glob(f"*/claude/{CREDENTIALS}"))


def _wanted_port(settings: Settings) -> int:
    """The rehearsal's port of last time: agents that run on still call there."""
    if settings.rehearsal_port:
        return settings.rehearsal_port
    try:
        port = int((settings.home / "rehearsal.port").read_text())
    except (OSError, ValueError):
        return 0
    return port if 0 < port < 65536 else 0


def _remember_port(settings: Settings, url: str) -> None:
    (settings.home / "rehearsal.port").write_text(url.rpartition(":")[2].rstrip("/") + "\n")

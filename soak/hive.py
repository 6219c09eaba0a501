"""The hive under soak: the parts of the daemon in a process of their own, on a fake runtime and a fast clock.

It is assembled as ``hyperhive/daemon.py`` does; what differs is the runtime, the clock, how much is retained, and two
routes on its ``host.sock``: what it holds, and what is to fail.
"""

import asyncio
import contextlib
import logging
import os
import random
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hyperhive.actors.agent import AgentActor
from hyperhive.actors.builder import Builder
from hyperhive.actors.clerk import Clerk
from hyperhive.actors.core import Shared, Then
from hyperhive.actors.deploying import Deploying
from hyperhive.actors.desk import Desk
from hyperhive.actors.environments import Environments
from hyperhive.actors.layout import Layout
from hyperhive.actors.observer import Credentials
from hyperhive.actors.operations import Operations, Places
from hyperhive.actors.tree import Services, Tree
from hyperhive.bridge import Bridge
from hyperhive.domain.views import HiveView
from hyperhive.home import raise_open_files
from hyperhive.link.link import Link
from hyperhive.mcp.http import IDLE_TIMEOUT, McpHttp
from hyperhive.mcp.sockets import McpSockets
from hyperhive.memory import keep_little
from hyperhive.repos.repositories import Repositories
from hyperhive.running.doors import LoopDoors
from hyperhive.running.hive import RunningHive
from hyperhive.runtimes.proc import boot_id
from hyperhive.store.database import Database
from hyperhive.web.app import build, build_host
from hyperhive.web.security import Security
from hyperhive.web.server import Server, bind, serve
from soak.clock import Clock, FastWatcher
from soak.fleet import Fleet
from soak.retained import RETAINED
from soak.vitals import Vitals

_HEARTS = {"#store": "_run", "#hub": "_publish"}
"""What of a service fails, behind what it does to answer who waits."""
PATIENT = 3600.0
"""Seconds of the clock on the wall for what waits for real work: a job, a harness that comes back."""


@dataclass(frozen=True)
class Place:
    """Where a hive under soak lives and how fast its time runs."""

    home: Path
    run: Path
    told: Path
    port: int
    speed: float
    trace: bool


class SoakedHive:
    """One hive, from start to SIGTERM or the end of its standard input."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._clock = Clock(place.speed)
        self._layout = Layout(home=place.home, run=place.run)
        self._runtime = Fleet(place.told)

    async def main(self) -> None:
        """Start everything in order; stop it in reverse."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_reader(sys.stdin, stop.set)  # its end is that of who started this
        place = self._place
        async with contextlib.AsyncExitStack() as stack:
            database = Database(place.home / "hive.sqlite", now=self._clock.now)
            database.open()
            stack.callback(database.close)
            watcher = FastWatcher(place.speed)
            watcher.start()
            stack.callback(watcher.stop)
            bridge = Bridge()
            bridge.open()
            stack.callback(bridge.close)
            tree, hive = self._tree(database, watcher, bridge)
            tree.start()
            stack.push_async_callback(asyncio.to_thread, tree.stop)
            stack.push_async_callback(self._sockets.aclose)
            stack.push_async_callback(self._link.aclose)
            vitals = Vitals(tree=tree, watcher=watcher, home=place.home, trace=place.trace)
            await self._serve(stack, hive, stop, [*_routes(vitals, tree)])
        self._runtime.end_all()

    def _tree(self, database: Database, watcher: FastWatcher, bridge: Bridge) -> tuple[Tree, RunningHive]:
        place = self._place
        doors, repos, clerk = LoopDoors(bridge=bridge), Repositories(home=place.home), Clerk()
        desk = Desk(runtime=self._runtime, layout=self._layout, database=database, clerk=clerk)
        operations = self._operations(repos, doors, desk)
        tree = Tree(
            database=database,
            frames=bridge.feed,
            watcher=watcher,
            hive=HiveView(
                name="soak",
                mode="live",
                runtime="process",
                confined=False,
                version="soak",
                started=self._clock.now(),
            ),
            now=self._clock.now,
            repos=repos,
            clerk=clerk,
            desk=desk,
            shared=lambda services: self._shared(services, database, watcher, operations, clerk),
            kept=RETAINED,
        )
        hive = RunningHive(
            tree=tree, database=database, bridge=bridge, watcher=watcher, runtime=self._runtime, repos=repos
        )
        self._link, self._sockets = Link(hive=hive, run=place.run), McpSockets(hive=hive, run=place.run)
        link, sockets = self._link, self._sockets
        doors.lead_to((lambda name, _: link.open(name), link.close), (sockets.open, sockets.close))
        return tree, hive

    def _operations(self, repos: Repositories, doors: LoopDoors, desk: Desk) -> Operations:
        builder = Builder(
            layout=self._layout,
            runtime=self._runtime,
            repos=repos,
            environments=Environments(folder=self._layout.environments),
            own="soak+0000",
            package=_package(self._place.home.parent / "package"),
            claude=None,
            turn_deadline=PATIENT * self._place.speed,
            warm=1.0,
        )
        return Operations(
            runtime=self._runtime,
            builder=builder,
            deploying=Deploying(repos),
            layout=self._layout,
            doors=doors,
            desk=desk,
            places=Places(4),
            ready_deadline=60.0,
            grace=5.0,
        )

    def _shared(
        self,
        services: Services,
        database: Database,
        watcher: FastWatcher,
        operations: Operations,
        clerk: Clerk,
    ) -> Shared:
        patient = PATIENT * self._place.speed
        return Shared(
            store=services.store,
            hub=services.hub,
            database=database,
            watches=watcher,
            runtime=self._runtime,
            builder=operations.builder,
            operations=operations,
            clerk=clerk,
            layout=self._layout,
            credentials=Credentials(shared=lambda _: {"ANTHROPIC_API_KEY": "sk-soak"}),
            now=self._clock.now,
            clock=self._clock.passed,
            random=random.random,
            boot=boot_id(),
            rehearsal=False,
            tick=20.0,
            turn_deadline=patient,
            harness_away=patient,
            job_deadline=patient,
        )

    async def _serve(
        self, stack: contextlib.AsyncExitStack, hive: RunningHive, stop: asyncio.Event, routes: list[Route]
    ) -> None:
        place = self._place
        listener = bind("127.0.0.1", place.port)
        port: int = listener.getsockname()[1]
        security = Security.from_home(place.home, host="127.0.0.1", port=port)
        mcp = McpHttp(hive=hive, idle=IDLE_TIMEOUT / place.speed)
        app = build(hive=hive, security=security, mcp_app=mcp.app)
        host_app = build_host(hive=hive, security=security, more=routes)
        await stack.enter_async_context(mcp.running())
        servers = [
            Server(app=app, stopping=(app.state.streams.close, mcp.stop)),
            Server(app=host_app, stopping=(host_app.state.streams.close,)),
        ]
        host_sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        host_sock.bind(str(place.run / "host.sock"))
        host_sock.listen(128)
        serving = [
            asyncio.create_task(serve(servers[0], listener)),
            asyncio.create_task(serve(servers[1], host_sock)),
        ]
        place.told.with_name("port").write_text(str(port))  # from here on somebody answers there
        await stop.wait()
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*serving)


def _routes(vitals: Vitals, tree: Tree) -> list[Route]:
    async def look(_: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(vitals.look, len(asyncio.all_tasks())))

    async def grown(_: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(vitals.grown))

    async def why(request: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(vitals.why, request.path_params["name"]))

    async def crash(request: Request) -> Response:
        name = request.path_params["name"]
        return JSONResponse({"crashed": _crash(tree, name)})

    return [
        Route("/soak/vitals", look),
        Route("/soak/grown", grown),
        Route("/soak/why/{name}", why),
        Route("/soak/crash/{name}", crash, methods=["POST"]),
    ]


def _crash(tree: Tree, name: str) -> bool:
    """Make an agent's actor, or a service's, fail on its next message."""
    post = tree.roster.get(name)
    actor = post.address.actor if post is not None else None
    if post is None or actor is None:
        return False

    def fail(*_: object) -> None:
        raise RuntimeError("the soak made it fail")

    if isinstance(actor, AgentActor):
        if actor._begun:
            post.address.tell(Then(actor._core, fail))
    else:
        setattr(actor, _HEARTS.get(name, "handle"), fail)
    return True


def _package(folder: Path) -> Path:
    """Stands in for the package of which a copy goes into every generation."""
    for room in ("domain", "harness"):
        (folder / room).mkdir(parents=True, exist_ok=True)
    for file in ("__init__.py", "errors.py"):
        (folder / file).touch()
    return folder


def main(argv: list[str]) -> int:
    """Run until SIGTERM. Arguments: home, run folder, socket for word of starts, port, speed, trace (0 or 1)."""
    home, run, told, port, speed, trace = argv
    logging.basicConfig(level=logging.WARNING)
    os.umask(0o077)
    keep_little()
    raise_open_files()
    place = Place(Path(home), Path(run), Path(told), int(port), float(speed), trace == "1")
    asyncio.run(SoakedHive(place).main())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

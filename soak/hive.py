"""The hive under soak: the parts of the daemon in a process of their own, on a fake runtime and a fast clock.

It is the daemon's own assembly on another ground; what differs is the runtime, the clock, how much is retained, and
routes of its own on ``host.sock``: what it holds, and what is to fail.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hyperhive.actors.agent import AgentActor
from hyperhive.actors.core import Shared, Then
from hyperhive.actors.layout import Layout
from hyperhive.actors.tree import Tree
from hyperhive.assembly import Assembly, Pace
from hyperhive.bridge import Bridge
from hyperhive.domain.views import HiveView
from hyperhive.ground import Ground
from hyperhive.home import raise_open_files
from hyperhive.mcp.http import IDLE_TIMEOUT
from hyperhive.memory import share_arena
from hyperhive.mode import Mode
from hyperhive.settings import Settings
from hyperhive.store.database import Database
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
_WEEK = 604_800.0
"""The most that can be set."""


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
        self._runtime = Fleet(place.told)
        self._patient = min(PATIENT * place.speed, _WEEK)

    async def main(self) -> None:
        """Start everything in order; stop it in reverse."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_reader(sys.stdin, stop.set)  # its end is that of who started this
        place = self._place
        async with contextlib.AsyncExitStack() as stack:
            ground = self._ground(stack)
            assembly = Assembly(ground, None, pace=self._pace())
            assembly.start(stack)
            vitals = Vitals(tree=assembly.tree, watcher=ground.watcher, home=place.home, trace=place.trace)
            await self._serve(stack, assembly, stop, _routes(vitals, assembly.tree))
        self._runtime.end_all()

    def _ground(self, stack: contextlib.AsyncExitStack) -> Ground:
        place = self._place
        database = Database(place.home / "hive.sqlite", now=self._clock.now)
        database.open()
        stack.callback(database.close)
        watcher = FastWatcher(place.speed)
        watcher.start()
        stack.callback(watcher.stop)
        bridge = Bridge()
        bridge.open()
        stack.callback(bridge.close)
        return Ground(
            settings=self._settings(),
            runtime=self._runtime,
            claude=Path("/bin/true"),  # nobody calls it
            layout=Layout(home=place.home, run=place.run),
            database=database,
            watcher=watcher,
            bridge=bridge,
            mode=Mode("live", lambda _: {"ANTHROPIC_API_KEY": "sk-soak"}),
            view=self._view(),
            now=self._clock.now,
        )

    def _settings(self) -> Settings:
        place = self._place
        return Settings(
            home=place.home,
            run=place.run,
            tick=20.0,
            builds=4,
            ready_deadline=60.0,
            stop_grace=5.0,
            turn_deadline=self._patient,
            warm=1.0,
        )

    def _view(self) -> HiveView:
        return HiveView(
            name="soak",
            mode="live",
            runtime="process",
            confined=False,
            version="soak",
            started=self._clock.now(),
        )

    def _pace(self) -> Pace:
        def faster(shared: Shared) -> Shared:
            patient = self._patient
            return replace(shared, clock=self._clock.passed, harness_away=patient, job_deadline=patient)

        return Pace(
            kept=RETAINED,
            mcp_idle=IDLE_TIMEOUT / self._place.speed,
            package=_package(self._place.home.parent / "package"),
            agents=faster,
        )

    async def _serve(
        self, stack: contextlib.AsyncExitStack, assembly: Assembly, stop: asyncio.Event, routes: list[Route]
    ) -> None:
        place = self._place
        listener = bind("127.0.0.1", place.port)
        port: int = listener.getsockname()[1]
        faces = assembly.faces(Security.from_home(place.home, host="127.0.0.1", port=port), more=routes)
        await stack.enter_async_context(faces.mcp.running())
        servers = [
            Server(app=faces.operator, stopping=(faces.end_streams,)),
            Server(app=faces.host, stopping=(faces.host.state.streams.close,)),
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
    share_arena()
    raise_open_files()
    place = Place(Path(home), Path(run), Path(told), int(port), float(speed), trace == "1")
    asyncio.run(SoakedHive(place).main())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

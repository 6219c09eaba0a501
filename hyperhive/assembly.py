"""Assembly: the actors of a hive and all that leads to them, put together behind a door that answers already."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from hyperhive import __version__
from hyperhive.actors.board import Board
from hyperhive.actors.builder import Builder
from hyperhive.actors.clerk import Clerk
from hyperhive.actors.core import Shared
from hyperhive.actors.deploying import Deploying
from hyperhive.actors.desk import Desk
from hyperhive.actors.environments import Environments
from hyperhive.actors.observer import Credentials, own_revision
from hyperhive.actors.operations import Operations, Places
from hyperhive.actors.retention import KEPT, Retained
from hyperhive.actors.tree import Services, Tree
from hyperhive.ground import Ground
from hyperhive.link.link import Link
from hyperhive.mcp.http import IDLE_TIMEOUT, McpHttp
from hyperhive.mcp.sockets import McpSockets
from hyperhive.repos.repositories import Repositories
from hyperhive.running.doors import LoopDoors
from hyperhive.running.hive import RunningHive
from hyperhive.runtimes.proc import boot_id
from hyperhive.web.app import build, build_host
from hyperhive.web.host import host_routes
from hyperhive.web.security import Security


@dataclass(frozen=True, slots=True)
class Faces:
    """The hive over HTTP: for the operator, for the command line, for MCP clients."""

    operator: Starlette
    host: Starlette
    mcp: McpHttp

    def end_streams(self) -> None:
        """End what is open at the operator's face."""
        self.operator.state.streams.close()
        self.mcp.stop()


def _as_ever(shared: Shared) -> Shared:
    return shared


@dataclass(frozen=True, slots=True)
class Pace:
    """What no operator sets: a hive under soak lives faster and keeps less.

    Args:
        kept: how much of the record is kept.
        mcp_idle: see ``McpHttp``.
        package: what a generation gets its copy of hyperhive from.
        agents: what the agents' actors are given, out of what they are given as a rule.
    """

    kept: Retained = KEPT
    mcp_idle: float = IDLE_TIMEOUT
    package: Path = Path(__file__).resolve().parent
    agents: Callable[[Shared], Shared] = _as_ever


class Assembly:
    """Makes the parts and starts the actors.

    Args:
        board: the one that is shown already; ``None``: nothing is.
    """

    def __init__(self, ground: Ground, board: Board | None, *, pace: Pace | None = None) -> None:
        self._ground, self._pace = ground, pace or Pace()
        self._repos, self._clerk = Repositories(home=ground.settings.home), Clerk()
        self._doors = LoopDoors(bridge=ground.bridge)
        self._desk = Desk(
            runtime=ground.runtime, layout=ground.layout, database=ground.database, clerk=self._clerk
        )
        self._operations = self._make_operations()
        self.tree = Tree(
            database=ground.database,
            frames=ground.bridge.feed,
            watcher=ground.watcher,
            hive=ground.view,
            board=board,
            now=ground.now,
            repos=self._repos,
            clerk=self._clerk,
            desk=self._desk,
            shared=lambda services: self._pace.agents(self._shared(services)),
            kept=self._pace.kept,
        )
        self.hive = RunningHive(
            tree=self.tree,
            database=ground.database,
            bridge=ground.bridge,
            watcher=ground.watcher,
            runtime=ground.runtime,
            repos=self._repos,
        )

    def start(self, stack: contextlib.AsyncExitStack) -> None:
        """Start the actors; ``stack`` ends them, and the sockets of the agents before."""
        run = self._ground.settings.run
        link, sockets = Link(hive=self.hive, run=run), McpSockets(hive=self.hive, run=run)
        self._doors.lead_to((lambda name, _: link.open(name), link.close), (sockets.open, sockets.close))
        self.tree.start()
        stack.push_async_callback(asyncio.to_thread, self.tree.stop)
        stack.push_async_callback(sockets.aclose)
        stack.push_async_callback(link.aclose)

    def faces(self, security: Security, *, more: Sequence[BaseRoute] = ()) -> Faces:
        """The doors to it, each with its own checks; ``more`` is for the command line's."""
        mcp = McpHttp(hive=self.hive, idle=self._pace.mcp_idle)
        operator = build(hive=self.hive, security=security, mcp_app=mcp.app)
        inside = host_routes(inside=self.hive, claude=self._ground.claude)
        browsers = operator.state.streams
        host = build_host(hive=self.hive, security=security, browsers=browsers, more=[*inside, *more])
        return Faces(operator, host, mcp)

    def _make_operations(self) -> Operations:
        ground, settings = self._ground, self._ground.settings
        builder = Builder(
            layout=ground.layout,
            runtime=ground.runtime,
            repos=self._repos,
            environments=Environments(folder=ground.layout.environments),
            own=own_revision(self._pace.package, __version__),
            package=self._pace.package,
            claude=ground.claude,
            turn_deadline=settings.turn_deadline,
            warm=settings.warm,
        )
        return Operations(
            runtime=ground.runtime,
            builder=builder,
            deploying=Deploying(self._repos),
            layout=ground.layout,
            doors=self._doors,
            desk=self._desk,
            places=Places(settings.builds),
            ready_deadline=settings.ready_deadline,
            grace=settings.stop_grace,
        )

    def _shared(self, services: Services) -> Shared:
        ground, operations = self._ground, self._operations
        return Shared(
            store=services.store,
            hub=services.hub,
            database=ground.database,
            watches=ground.watcher,
            runtime=ground.runtime,
            builder=operations.builder,
            operations=operations,
            clerk=self._clerk,
            layout=ground.layout,
            credentials=Credentials(shared=ground.mode.env),
            now=ground.now,
            random=random.random,
            boot=boot_id(),
            rehearsal=ground.mode.name == "rehearsal",
            tick=ground.settings.tick,
            turn_deadline=ground.settings.turn_deadline,
        )

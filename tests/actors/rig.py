"""A whole tree on a real database, over real tiny processes; harnesses are played, and time is turned."""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from hyperhive.actors.agent import AgentActor
from hyperhive.actors.broker import Send
from hyperhive.actors.builder import Builder
from hyperhive.actors.clerk import Clerk
from hyperhive.actors.core import Shared, Then
from hyperhive.actors.deploying import Deploying
from hyperhive.actors.desk import Desk
from hyperhive.actors.environments import Environments
from hyperhive.actors.job import Result
from hyperhive.actors.layout import Layout
from hyperhive.actors.observer import CREDENTIALS, Credentials
from hyperhive.actors.operations import Operations, Places
from hyperhive.actors.ports import Frame
from hyperhive.actors.reply import Waiter
from hyperhive.actors.requests import Accepted, Operate
from hyperhive.actors.retention import Retained
from hyperhive.actors.store import Write
from hyperhive.actors.tree import Services, Tree
from hyperhive.actors.turn_loop import Connected, Deliver, Disconnected, Reported
from hyperhive.domain.axes import Transient
from hyperhive.domain.messages import Message
from hyperhive.domain.records import AgentRecord, Handle
from hyperhive.domain.turns import Outcome
from hyperhive.domain.views import AgentView, HiveView
from hyperhive.domain.wire import Ack, FromHost, Hello, Interrupt, Report, TurnOver, Work
from hyperhive.repos.repositories import Repositories
from hyperhive.runtimes.base import LaunchSpec
from hyperhive.runtimes.proc import boot_id
from hyperhive.store.database import Database
from tests.fakes.runtime import FakeRuntime
from tests.fakes.watcher import ManualWatcher
from tests.waiting import eventually

START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
TOKEN = '{"claudeAiOauth": {"accessToken": "%s"}}'


@dataclass(eq=False)
class Harness:
    """Plays a harness: what the host sends is kept; what it says goes to the agent's actor."""

    rig: "Rig"
    name: str
    boot: str
    lines: list[FromHost] = field(default_factory=list)
    closed: bool = False
    n: int = 0

    def send(self, line: FromHost) -> None:
        self.lines.append(line)

    def close(self) -> None:
        self.closed = True

    def connect(self) -> None:
        address = self.rig.address(self.name)
        address.tell(Connected(self, Hello(boot=self.boot, version="1"), ()))
        address.tell(Deliver())

    def report(self, report: Report) -> int:
        self.n += 1
        self.rig.address(self.name).tell(Reported(self, self.n, report))
        return self.n

    def over(self, outcome: Outcome = Outcome.DONE, **fields: Any) -> int:
        return self.report(TurnOver(turn=self.work[-1].turn, outcome=outcome, **fields))

    def hang_up(self) -> None:
        self.rig.address(self.name).tell(Disconnected(self))

    @property
    def work(self) -> list[Work]:
        return [line for line in self.lines if isinstance(line, Work)]

    @property
    def acked(self) -> int:
        return max((line.n for line in self.lines if isinstance(line, Ack)), default=0)

    @property
    def interrupted(self) -> list[int]:
        return [line.turn for line in self.lines if isinstance(line, Interrupt)]

    def next_work(self, number: int = 1) -> Work:
        """The ``number``-th piece of work, once it is there."""
        eventually(lambda: len(self.work) >= number)
        return self.work[number - 1]


class TalkingRuntime(FakeRuntime):
    """A runtime whose containers' harnesses connect at once, unless they are mute."""

    def __init__(self) -> None:
        super().__init__()
        self.mute: set[str] = set()
        self.started: Callable[[str], None] = lambda name: None

    def start(self, spec: LaunchSpec, *, deadline: float) -> Handle:
        handle = super().start(spec, deadline=deadline)
        if spec.name not in self.mute:
            self.started(spec.name)
        return handle


class Doors:
    """Doors that nobody comes in by."""

    def __init__(self) -> None:
        self.opened: set[str] = set()

    def open(self, name: str, role: Literal["manager", "agent"]) -> None:
        self.opened.add(name)

    def close(self, name: str) -> None:
        self.opened.discard(name)


class Readers:
    """Where the hub hands its frames."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def post(self, frames: list[Frame], changed: frozenset[str]) -> None:
        self.frames.extend(frames)

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()


class Rig:
    """One hive. ``boot``, ``own`` and ``env`` may be changed before a restart of the daemon."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.runtime = TalkingRuntime()
        self.layout = Layout(home=home, run=home / "run")
        self.package = _package(home / "package")
        self.boot = boot_id()
        self.own = "1.0+aaaa"
        self.env = {"ANTHROPIC_API_KEY": "sk-test"}
        self.ready_deadline = 20.0
        self.job_deadline = 300.0
        self.turn_deadline = 1800.0
        self.back = timedelta()
        self.kept = Retained()
        self.harnesses: dict[str, Harness] = {}
        self._boots = 0
        self.runtime.started = self._harness_started
        self.database: Database
        self.watcher: ManualWatcher
        self.tree: Tree
        self.repos: Repositories
        self.clerk: Clerk
        self.desk: Desk
        self.readers: Readers

    # -- the daemon

    def up(self) -> "Rig":
        self.watcher = ManualWatcher()
        self.watcher.start()
        self.database = Database(self.home / "hive.sqlite", now=self.now)
        self.database.open()
        self.readers = Readers()
        self.repos = Repositories(home=self.home)
        self.clerk = Clerk()
        self.desk = Desk(runtime=self.runtime, layout=self.layout, database=self.database, clerk=self.clerk)
        view = HiveView(
            name="test", mode="live", runtime="process", confined=False, version="1", started=self.now()
        )
        self.tree = Tree(
            database=self.database,
            frames=self.readers,
            watcher=self.watcher,
            hive=view,
            now=self.now,
            repos=self.repos,
            clerk=self.clerk,
            desk=self.desk,
            shared=self._shared,
            kept=self.kept,
        )
        self.tree.start()
        return self

    def down(self) -> None:
        self.tree.stop()
        self.watcher.stop()
        self.database.close()

    def restart(self) -> None:
        """A new daemon on the same home; containers have run on."""
        self.down()
        self.up()

    def end(self) -> None:
        self.down()
        self.runtime.end_all()

    def now(self) -> datetime:
        return START + timedelta(seconds=self.watcher.clock() % 1e6) - self.back

    def _shared(self, services: Services) -> Shared:
        builder = Builder(
            layout=self.layout,
            runtime=self.runtime,
            repos=self.repos,
            environments=Environments(folder=self.layout.environments),
            own=self.own,
            package=self.package,
            claude=None,
            turn_deadline=self.turn_deadline,
            warm=1.0,
        )
        operations = Operations(
            runtime=self.runtime,
            builder=builder,
            deploying=Deploying(self.repos),
            layout=self.layout,
            doors=Doors(),
            desk=self.desk,
            places=Places(4),
            ready_deadline=self.ready_deadline,
            grace=2.0,
        )
        return Shared(
            store=services.store,
            hub=services.hub,
            database=self.database,
            watches=self.watcher,
            runtime=self.runtime,
            builder=builder,
            operations=operations,
            clerk=self.clerk,
            layout=self.layout,
            credentials=Credentials(shared=lambda agent: dict(self.env)),
            now=self.now,
            clock=self.watcher.clock,
            random=lambda: 0.0,
            boot=self.boot,
            rehearsal=False,
            turn_deadline=self.turn_deadline,
            job_deadline=self.job_deadline,
        )

    # -- agents

    def address(self, name: str) -> Any:
        post = self.tree.roster.get(name)
        assert post is not None, name
        return post.address

    def spawn(self, name: str) -> None:
        """Spawn an agent and wait until it works."""
        reply: Waiter[AgentRecord] = Waiter()
        self.tree.spawn(name, by="operator", reply=reply)
        reply.get(60)
        self.settled(name)

    def settled(self, name: str) -> AgentView:
        """Wait until nothing is under way with an agent that runs and whose harness is there."""
        eventually(
            lambda: (v := self.view(name)) and v.container == "running" and v.ready and not v.transient
        )
        return self.view(name)

    def comes_back(self, name: str) -> AgentView:
        """The same; what its restart waits for passes at once."""

        def passed() -> object:
            view = self.view(name)
            if view.restart_at is not None:
                self.watcher.advance(max(0.0, (view.restart_at - self.now()).total_seconds()))
            return view.container == "running" and view.ready and not view.transient

        eventually(passed)
        return self.view(name)

    def restarts(self, name: str) -> int:
        """How often the supervisor restarted the agent's actor."""
        post = self.tree.roster.get(name)
        return post.restarts if post is not None else 0

    def view(self, name: str) -> AgentView:
        return self.tree.board.agent(name)  # type: ignore[return-value]  # None before it is shown: only polled for

    def record(self, name: str) -> AgentRecord:
        record = self.database.reader().agents.get(name)
        assert record is not None
        return record

    def operate(self, kind: Transient, name: str, *, by: str = "operator", **more: Any) -> Waiter[Result]:
        done: Waiter[Result] = Waiter()
        accepted: Waiter[Accepted] = Waiter()
        self.address(name).tell(Operate(kind, by, reply=accepted, done=done, **more))
        accepted.get(60)
        return done

    def crash_actor(self, name: str, error: BaseException | None = None) -> None:
        """Make the agent's actor fail on its next message."""
        actor = self._at_work(name)
        problem = error or RuntimeError("a bug")

        def fail() -> None:
            raise problem

        self.address(name).tell(Then(actor._core, fail))

    def _at_work(self, name: str) -> AgentActor:
        """The agent's actor, once it has read its record."""
        eventually(lambda: (actor := self.address(name).actor) is not None and actor._begun)
        actor = self.address(name).actor
        assert isinstance(actor, AgentActor)
        return actor

    @contextmanager
    def busy(self, name: str) -> Iterator[None]:
        """Keep the agent's actor from handling what it is told meanwhile."""
        actor, held, gate = self._at_work(name), threading.Event(), threading.Event()

        def hold() -> None:
            held.set()
            gate.wait(60)

        self.address(name).tell(Then(actor._core, hold))
        assert held.wait(60)
        try:
            yield
        finally:
            gate.set()

    @contextmanager
    def failing(self, error: str) -> Iterator[None]:
        """No commit succeeds."""
        commit = self.database.commit

        def refuse() -> None:
            self.database.rollback()
            raise sqlite3.OperationalError(error)

        self.database.commit = refuse  # type: ignore[method-assign]  # the seam for faults
        try:
            yield
        finally:
            self.database.commit = commit  # type: ignore[method-assign]

    def config(self, name: str, text: str) -> None:
        path = self.layout.agent(name).config
        draft = path.with_name("draft")
        draft.write_text(text)
        draft.rename(path)

    def log_in(self, name: str, token: str = "t") -> None:
        path = self.layout.agent(name).claude / CREDENTIALS
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name("draft")
        draft.write_text(TOKEN % token)
        draft.rename(path)

    def harness(self, name: str) -> Harness:
        return self.harnesses[name]

    def _harness_started(self, name: str) -> None:
        self._boots += 1
        self.harnesses[name] = Harness(self, name, f"boot-{self._boots}")
        self.harnesses[name].connect()

    # -- messages and events

    def send(self, sender: str, to: str, body: str = "hello") -> Message:
        reply: Waiter[Message] = Waiter()
        self.tree.services.broker.tell(Send(sender, to, body, reply))
        return reply.get(60)

    def write(self, op: Callable[[Any], Any]) -> Any:
        reply: Waiter[Any] = Waiter()
        self.tree.services.store.tell(Write(op, reply))
        return reply.get(60)

    def told(self, agent: str, *kinds: str) -> list[str]:
        """The kinds of events told of an agent, in order; with ``kinds`` only those."""
        events = self.database.reader().events.after(0, 10_000, frozenset(kinds) if kinds else None)
        return [event.kind for event in events if event.agent == agent]

    def wait_for(self, predicate: Callable[[], object]) -> None:
        """Let time pass, second by second, until ``predicate`` holds."""

        def passed() -> object:
            self.watcher.advance(1)
            return predicate()

        eventually(passed)

    def flush(self) -> None:
        """Wait until what was written before is visible."""
        self.write(lambda tx: None)


class Quiet:
    """Takes the log's errors, which are expected here."""

    def __init__(self) -> None:
        self._level = logging.getLogger("hyperhive").level

    def __enter__(self) -> None:
        logging.getLogger("hyperhive").setLevel(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        logging.getLogger("hyperhive").setLevel(self._level)


def _package(folder: Path) -> Path:
    """Stands in for the hyperhive package, which is copied with every rebuild."""
    for room in ("domain", "harness"):
        (folder / room).mkdir(parents=True)
    for file in ("__init__.py", "errors.py"):
        (folder / file).touch()
    return folder

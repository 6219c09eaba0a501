"""RunningHive: the façade over the actors of this daemon."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, Literal, TypeVar

from hyperhive.actors.address import Address
from hyperhive.actors.agent import Pause, Resume
from hyperhive.actors.broker import Expire, Recv, Send, Undelivered
from hyperhive.actors.gatekeeper import Ask, Close, Decide, Submit
from hyperhive.actors.job import Result
from hyperhive.actors.observer import with_logins
from hyperhive.actors.operations import remove_tree
from hyperhive.actors.reply import Reply
from hyperhive.actors.requests import Accepted, Operate
from hyperhive.actors.store import Write
from hyperhive.actors.supervisor import Release
from hyperhive.actors.tree import Tree
from hyperhive.actors.turn_loop import Connected, Deliver, Disconnected, Reported
from hyperhive.actors.watcher import Watcher
from hyperhive.bridge import Bridge
from hyperhive.domain.approvals import Kind
from hyperhive.domain.axes import Transient
from hyperhive.domain.messages import MAX_BATCH, MAX_WAIT, Message
from hyperhive.domain.names import OPERATOR, check_name
from hyperhive.domain.parts import Kept
from hyperhive.domain.records import AgentRecord
from hyperhive.domain.turns import TurnItem
from hyperhive.domain.views import ApprovalView, HiveSnapshot, KeptView, MessageView, QuestionView
from hyperhive.domain.wire import Hello, Report, Welcome
from hyperhive.errors import Invalid, Refused, Unknown
from hyperhive.hive import Action, Hive, Operated, Session
from hyperhive.running.streams import TurnNews, event_stream, follow_file
from hyperhive.runtimes.base import Runtime
from hyperhive.runtimes.log import tail
from hyperhive.store.database import Database, Tx

T = TypeVar("T")

_DEADLINE = 10.0
_MAX_LINES = 10_000
_KINDS = {
    Action.START: Transient.STARTING,
    Action.STOP: Transient.STOPPING,
    Action.RESTART: Transient.RESTARTING,
    Action.UPDATE: Transient.REBUILDING,
}


class RunningHive(Hive):
    """The hive of this daemon, for its doors."""

    def __init__(
        self, *, tree: Tree, database: Database, bridge: Bridge, watcher: Watcher, runtime: Runtime
    ) -> None:
        self._tree = tree
        self._database = database
        self._bridge = bridge
        self._watcher = watcher
        self._runtime = runtime
        self._layout = tree.layout
        self._news = TurnNews()
        self._sessions: dict[Session, Any] = {}

    # -- reading

    def snapshot(self) -> HiveSnapshot:
        """The hive as of its last event."""
        return self._tree.board.snapshot

    def snapshot_json(self) -> bytes:
        """The snapshot as JSON."""
        return self._tree.board.json

    def stream(
        self, *, after: int | None, kinds: frozenset[str] | None = None, views: bool = False
    ) -> AsyncIterator[bytes]:
        """Server-sent events; see ``Hive.stream``."""
        return event_stream(
            feed=self._bridge.feed,
            board=self._tree.board,
            database=self._database,
            after=after,
            kinds=kinds,
            views=views,
        )

    async def events(
        self, *, after: int = 0, limit: int = 1000, kinds: frozenset[str] | None = None
    ) -> list[str]:
        """Recorded events behind ``after``."""
        reader = self._database.reader()
        page = await asyncio.to_thread(reader.events.after, max(0, after), min(limit, 10_000), kinds)
        return [event.text for event in page]

    async def messages(
        self, *, peer: str | None = None, after: int = 0, limit: int = 200
    ) -> tuple[MessageView, ...]:
        """Messages behind ``after``."""
        reader = self._database.reader()
        return tuple(
            await asyncio.to_thread(reader.messages.conversation, peer, max(0, after), min(limit, 1000))
        )

    async def turns(self, name: str, *, after: int = 0, limit: int = 500) -> tuple[TurnItem, ...]:
        """Turn events behind ``after``."""
        self._address(name)
        return await asyncio.to_thread(self._items, name, max(0, after), min(limit, 1000))

    def follow_turns(self, name: str, *, after: int = 0) -> AsyncIterator[TurnItem]:
        """The same, and then live."""
        self._address(name)
        return self._news.follow(name, lambda seen: self._items(name, seen, 500), max(0, after))

    def _items(self, name: str, after: int, limit: int) -> tuple[TurnItem, ...]:
        return tuple(self._database.reader().turns.items(name, after=after, limit=limit))

    async def logs(self, name: str, *, lines: int = 100) -> str:
        """The tail of the container's log."""
        self._address(name)
        wanted = max(1, min(lines, _MAX_LINES))
        return await asyncio.to_thread(
            lambda: tail(self._layout.agent(name).log, lines=wanted, max_bytes=1024 * 1024)
        )

    async def follow_logs(self, name: str, *, lines: int = 100) -> AsyncIterator[str]:
        """The tail, and then what is appended."""
        start = await self.logs(name, lines=lines)
        async for line in follow_file(self._layout.agent(name).log, start, self._bridge, self._watcher):
            yield line

    async def agent_config(self, name: str) -> str:
        """The config file the container was built from."""
        self._address(name)
        record = await asyncio.to_thread(self._database.reader().agents.get, name)
        if record is None or not record.built_config:
            raise Refused(f"'{name}' was not built yet; there is no config to show.", code="not-built")
        return record.built_config

    async def stats(self, *, since: float = 86400.0, agent: str | None = None) -> list[dict[str, Any]]:
        """One row a finished turn."""
        if agent is not None:
            self._address(agent)
        start = self._tree.now() - timedelta(seconds=max(0.0, min(since, 366 * 86400.0)))
        return await asyncio.to_thread(self._database.reader().turns.stats, start, agent)

    def metrics(self) -> list[tuple[str, dict[str, str], float]]:
        """Samples for ``/metrics``."""
        return [*self._tree.metrics(), ("hyperhive_stream_readers", {}, float(self._bridge.feed.readers))]

    async def changes(self) -> AsyncIterator[frozenset[str]]:
        """Names of agents whose view changed, batch by batch."""
        with self._bridge.feed.changes() as queue:
            while True:
                yield await queue.get()

    async def enter(self, name: str, argv: tuple[str, ...]) -> tuple[str, ...]:
        """The host command that runs ``argv`` in the agent's container."""
        self._address(name)
        record = await asyncio.to_thread(self._database.reader().agents.get, name)
        if record is None or record.handle is None:
            raise Refused(f"'{name}' is stopped; start it first: hyperhive start {name}.", code="stopped")
        return self._runtime.enter(record.handle, argv)

    def login_folder(self, name: str) -> str:
        """The folder that holds an agent's login, on the host."""
        self._address(name)
        return str(self._layout.agent(name).claude)

    # -- agents

    async def spawn(self, name: str, *, by: str) -> Operated:
        """Make an agent and start it."""
        check_name(name)
        _: AgentRecord = await self._call(lambda reply: self._tree.spawn(name, by=by, reply=reply))
        return Operated(agent=name, transient=Transient.SPAWNING.value)

    async def operate(self, action: Action, name: str, *, by: str, wait: float = 0.0) -> Operated:
        """Do ``action``; with ``wait`` until it ended."""
        address = self._address(name)
        await self._lift(action, name, by)
        match action:
            case Action.PAUSE:
                accepted: Accepted = await self._call(lambda reply: address.tell(Pause(reply=reply)))
                return Operated(agent=name, transient=None, ok=True, note=accepted.note)
            case Action.RESUME:
                return await self._operate(
                    name, wait, lambda reply, done: Resume(by=by, reply=reply, done=done)
                )
        kind = _KINDS[action]
        return await self._operate(
            name, wait, lambda reply, done: Operate(kind=kind, by=by, reply=reply, done=done)
        )

    async def _lift(self, action: Action, name: str, by: str) -> None:
        """An agent whose actor was given up answers only once the operator lifts that."""
        post = self._tree.roster.get(name)
        if post is None or not post.quarantined:
            return
        if by != OPERATOR or action not in (Action.RESUME, Action.START, Action.RESTART):
            raise Refused(f"'{name}' is quarantined; the operator can resume it.", code="quarantined")
        _: bool = await self._call(lambda reply: self._tree.root.address.tell(Release(name, reply)))

    async def _operate(
        self, name: str, wait: float, make: Callable[[Reply[Accepted], Reply[Result]], object]
    ) -> Operated:
        address = self._address(name)
        accepted: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()

        def take(value: Accepted) -> None:
            if not accepted.done():
                accepted.set_result(value)

        if wait <= 0:
            got: Accepted = await self._call(lambda reply: address.tell(make(reply, self._bridge.ignore)))
            done = got.transient is None
            return Operated(name, got.transient, True if done else None, got.note)
        result: Result = await self._call(
            lambda done: address.tell(make(self._bridge.reply(take, done.fail), done)), deadline=wait
        )
        kind = accepted.result().transient if accepted.done() else None
        return Operated(name, kind, result.ok, result.note)

    async def destroy(self, name: str, *, purge: bool = False, by: str) -> Operated:
        """End an agent."""
        return await self._operate(
            name,
            0.0,
            lambda reply, done: Operate(Transient.DESTROYING, by=by, purge=purge, reply=reply, done=done),
        )

    async def revive(self, name: str, *, by: str) -> Operated:
        """Spawn a kept agent again."""
        self._kept(name)
        return await self.spawn(name, by=by)

    async def purge(self, name: str, *, by: str) -> KeptView:
        """Delete a kept agent's folders."""
        view = self._kept(name)
        root = self._layout.agent(name).root
        doomed = root.with_name(f".purged-{name}-{view.since.timestamp():.0f}")

        def op(tx: Tx) -> None:
            if tx.agents.get(name) is not None:
                raise Refused(f"There is an agent '{name}' again; destroy it with purge.", code="exists")
            tx.agents.forget(name)
            tx.show_whole(Kept, lambda: Kept(with_logins(tx.agents.kept(), self._layout)))
            # Out of the way at once, so that a new agent of that name cannot meet what is being deleted.
            with contextlib.suppress(FileNotFoundError):
                root.rename(doomed)

        await self._write(op)
        for left in (doomed, *root.parent.glob(f".purged-{name}-*")):  # also what a daemon died over
            await asyncio.to_thread(remove_tree, left)
        return view

    def _kept(self, name: str) -> KeptView:
        check_name(name)
        kept = {view.name: view for view in self.snapshot().kept}
        if name not in kept:
            known = ", ".join(sorted(kept)) or "none"
            raise Unknown(f"Nothing was kept of '{name}'; kept are: {known}.", code="unknown-kept")
        return kept[name]

    # -- messages

    async def send(self, *, sender: str, to: str, body: str) -> Message:
        """Send a message."""
        if to != OPERATOR:
            check_name(to)
        broker = self._tree.services.broker
        return await self._call(lambda reply: broker.tell(Send(sender, to, body, reply)))

    async def recv(self, agent: str, *, wait: float = 0.0, limit: int = 1) -> tuple[Message, ...]:
        """Take unread messages."""
        if not 0 <= wait <= MAX_WAIT or not 1 <= limit <= MAX_BATCH:
            raise Invalid(f"Wait 0 to {MAX_WAIT:.0f} seconds for 1 to {MAX_BATCH} messages.", code="bad-recv")
        broker = self._tree.services.broker
        token = next(self._tree.room.tokens)

        def put_back(messages: tuple[Message, ...]) -> None:
            if messages:
                broker.tell(Undelivered(agent, tuple(message.id for message in messages)))

        try:
            return await self._call(
                lambda reply: broker.tell(Recv(token, agent, limit, wait, reply)),
                deadline=wait + _DEADLINE,
                undelivered=put_back,
            )
        except asyncio.CancelledError:
            broker.tell(Expire(agent, token))
            raise

    # -- what waits for the operator

    async def ask(
        self,
        agent: str,
        *,
        question: str,
        options: tuple[str, ...] = (),
        multi: bool = False,
        ttl: float | None = None,
    ) -> QuestionView:
        """Ask the operator."""
        return await self._gate(lambda reply: Ask(agent, question, options, multi, ttl, reply))

    async def answer(self, id: int, *, answer: str, by: str) -> QuestionView:
        """Answer a question."""
        return await self._gate(lambda reply: Close(id, answer, by, reply))

    async def cancel_question(self, id: int, *, by: str) -> QuestionView:
        """Close a question unanswered."""
        return await self._gate(lambda reply: Close(id, None, by, reply))

    async def request_spawn(self, name: str, *, by: str) -> ApprovalView:
        """Ask the operator for a new agent."""
        check_name(name)
        return await self._gate(lambda reply: Submit(Kind.SPAWN, name, None, by, reply=reply))

    async def decide(
        self, id: int, *, decision: Literal["approve", "deny", "revise"], note: str = "", by: str
    ) -> ApprovalView:
        """Decide an approval; an approved spawn begins at once."""
        return await self._gate(lambda reply: Decide(id, decision, note, by, reply=reply))

    async def approval_diff(self, id: int) -> str:
        """What would change."""
        view = await asyncio.to_thread(self._database.reader().approvals.get, id)
        if view is None:
            raise Unknown(f"There is no approval {id}.", code="unknown-approval")
        return self._tree.spawn_diff(view.agent)

    # -- harnesses

    async def harness_hello(self, name: str, hello: Hello, session: Session) -> Welcome:
        """A harness connected."""
        outbound = self._bridge.outbound(session.send, session.close)
        peers = tuple(peer for peer in self._tree.board.names if peer != name)
        address = self._address(name)
        self._sessions[session] = (
            outbound  # before it is asked: if the answer is late, it still is to be parted from
        )
        welcome: Welcome = await self._call(
            lambda reply: address.tell(Connected(outbound, hello, peers, reply))
        )
        # Only once the welcome was written: the caller does that before it gives the loop away.
        asyncio.get_running_loop().call_soon(address.tell, Deliver())
        return welcome

    async def harness_report(self, name: str, session: Session, n: int, report: Report) -> None:
        """Hand on a report."""
        outbound = self._sessions.get(session)
        if outbound is not None:
            self._address(name).tell(Reported(outbound, n, report))

    async def harness_items(self, name: str, session: Session, items: tuple[TurnItem, ...]) -> None:
        """Record turn events of the open turn; others are not the harness's to write."""

        def op(tx: Tx) -> bool:
            turn = tx.turns.open(name)
            return bool(tx.turns.add_items(name, [item for item in items if item.turn == turn]))

        if session in self._sessions and await self._write(op):
            self._news.tell(name)

    async def harness_gone(self, name: str, session: Session) -> None:
        """The connection ended."""
        outbound = self._sessions.pop(session, None)
        post = self._tree.roster.get(name)
        if outbound is not None and post is not None:
            post.address.tell(Disconnected(outbound))

    # -- asking actors

    def _address(self, name: str) -> Address:
        check_name(name)
        post = self._tree.roster.get(name)
        if post is None:
            known = ", ".join(self._tree.board.names) or "none"
            raise Unknown(f"There is no agent '{name}'; there are: {known}.", code="unknown-agent")
        return post.address

    async def _gate(self, make: Callable[[Reply[T]], object]) -> T:
        gatekeeper = self._tree.services.gatekeeper
        return await self._call(lambda reply: gatekeeper.tell(make(reply)))

    async def _write(self, op: Callable[[Tx], T]) -> T:
        return await self._call(lambda reply: self._tree.services.store.tell(Write(op, reply)))

    async def _call(
        self,
        make: Callable[[Reply[T]], None],
        *,
        deadline: float = _DEADLINE,
        undelivered: Callable[[T], None] | None = None,
    ) -> T:
        return await self._bridge.call(make, deadline=deadline, undelivered=undelivered)

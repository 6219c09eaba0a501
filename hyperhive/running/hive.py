"""RunningHive: the façade over the actors of this daemon."""

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

from hyperhive.actors.questions import Ask
from hyperhive.actors.tree import Tree
from hyperhive.actors.watcher import Watcher
from hyperhive.bridge import Bridge
from hyperhive.domain.approvals import Against, Kind
from hyperhive.domain.diff import Diff
from hyperhive.domain.messages import Message
from hyperhive.domain.turns import TurnItem
from hyperhive.domain.views import (
    ApprovalView,
    DraftView,
    GenerationView,
    HiveSnapshot,
    KeptView,
    MessageView,
    QuestionView,
)
from hyperhive.domain.wire import Hello, Report, Welcome
from hyperhive.errors import Refused
from hyperhive.hive import Action, Hive, Operated, Session
from hyperhive.repos.repositories import Repositories
from hyperhive.running.asking import Asking
from hyperhive.running.broadcast import Broadcast
from hyperhive.running.commanding import Commanding
from hyperhive.running.deciding import Deciding
from hyperhive.running.harnesses import Harnesses
from hyperhive.running.mail import Mail
from hyperhive.running.process import Process
from hyperhive.running.reading import Reading
from hyperhive.running.streams import EventStream, TurnNews
from hyperhive.runtimes.base import Runtime
from hyperhive.store.database import Database


class RunningHive(Hive):
    """The hive of this daemon, for its doors. It says what there is to ask; its parts know how."""

    def __init__(
        self,
        *,
        tree: Tree,
        database: Database,
        bridge: Bridge,
        watcher: Watcher,
        runtime: Runtime,
        repos: Repositories,
    ) -> None:
        self._tree = tree
        self._database = database
        self._bridge = bridge
        self._runtime = runtime
        self._process = Process()
        self._broadcast = Broadcast(feed=bridge.feed)
        news = TurnNews()
        self._asking = Asking(tree=tree, database=database, bridge=bridge)
        self._reading = Reading(asking=self._asking, watcher=watcher, news=news, repos=repos)
        self._commanding = Commanding(asking=self._asking, reading=self._reading)
        self._deciding = Deciding(asking=self._asking, repos=repos)
        self._mail = Mail(asking=self._asking)
        self._harnesses = Harnesses(asking=self._asking, news=news)

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
        return EventStream(
            feed=self._bridge.feed,
            broadcast=self._broadcast,
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
        return await self._reading.events(after, limit, kinds)

    async def past(
        self,
        *,
        before: int | None = None,
        limit: int = 50,
        kinds: frozenset[str] | None = None,
        agent: str | None = None,
    ) -> list[str]:
        """Recorded events older than ``before``, newest first."""
        return await self._reading.past(before, limit, kinds, agent)

    async def messages(
        self, *, peer: str | None = None, after: int = 0, limit: int = 200
    ) -> tuple[MessageView, ...]:
        """Messages behind ``after``."""
        return await self._reading.messages(peer, after, limit)

    async def turns(self, name: str, *, after: int = 0, limit: int = 500) -> tuple[TurnItem, ...]:
        """Turn events behind ``after``."""
        return await self._reading.turns(name, after, limit)

    def follow_turns(self, name: str, *, after: int = 0) -> AsyncIterator[TurnItem]:
        """The same, and then live."""
        return self._reading.follow_turns(name, after)

    async def logs(self, name: str, *, lines: int = 100) -> str:
        """The tail of the container's log."""
        return await self._reading.logs(name, lines)

    def follow_logs(self, name: str, *, lines: int = 100) -> AsyncIterator[str]:
        """The tail, and then what is appended."""
        return self._reading.follow_logs(name, lines)

    async def agent_config(self, name: str) -> str:
        """The config file the container was built from."""
        return await self._reading.agent_config(name)

    async def agent_prompt(self, name: str) -> str | None:
        """``prompt.md`` of the commit the container was built from; ``None``: it has none."""
        return await self._reading.agent_prompt(name)

    async def history(self, name: str) -> tuple[GenerationView, ...]:
        """An agent's generations, newest first."""
        return await self._reading.history(name)

    async def build_log(self, name: str) -> str:
        """What the last or present build said."""
        return await self._reading.build_log(name)

    def follow_build(self, name: str) -> AsyncIterator[str]:
        """The same, and then what is appended, until the build has ended."""
        return self._reading.follow_build(name)

    async def stats(self, *, since: float = 86400.0, agent: str | None = None) -> bytes:
        """One row a finished turn, as JSON."""
        return await self._reading.stats(since, agent)

    def metrics(self) -> list[tuple[str, dict[str, str], float]]:
        """Samples for ``/metrics``."""
        return [*self._tree.gauges.samples(), *self._bridge.feed.samples(), *self._process.samples()]

    async def changes(self) -> AsyncIterator[frozenset[str]]:
        """Names of agents whose view changed, batch by batch."""
        with self._bridge.feed.changes() as queue:
            while True:
                yield await queue.get()

    async def audit(self, action: str, *, by: str) -> None:
        """Write down what the operator did at a door."""
        await self._asking.audit(action, None, by=by)

    # -- this host's own

    async def enter(self, name: str, argv: tuple[str, ...], *, by: str) -> tuple[str, ...]:
        """The host command that runs ``argv`` in the agent's container."""
        self._asking.address(name)
        record = await asyncio.to_thread(self._asking.reader.agents.get, name)
        if record is None or record.handle is None:
            raise Refused(f"'{name}' is stopped; start it first: hyperhive start {name}.", code="stopped")
        await self._asking.audit("shell", name, by=by)
        return self._runtime.enter(record.handle, argv)

    async def login_folder(self, name: str, *, by: str) -> str:
        """The folder that holds an agent's login, on the host."""
        self._asking.address(name)
        await self._asking.audit("login", name, by=by)
        return str(self._tree.layout.agent(name).claude)

    # -- agents

    async def spawn(self, name: str, *, by: str) -> Operated:
        """Make an agent and start it."""
        return await self._commanding.spawn(name, by=by)

    async def operate(self, action: Action, name: str, *, by: str, wait: float = 0.0) -> Operated:
        """Do ``action``; with ``wait`` until it ended."""
        return await self._commanding.operate(action, name, by=by, wait=wait)

    async def destroy(self, name: str, *, purge: bool = False, by: str) -> Operated:
        """End an agent."""
        return await self._commanding.destroy(name, purge=purge, by=by)

    async def revive(self, name: str, *, by: str) -> Operated:
        """Spawn a kept agent again."""
        return await self._commanding.revive(name, by=by)

    async def purge(self, name: str, *, by: str) -> KeptView:
        """Delete a kept agent's folders."""
        return await self._commanding.purge(name, by=by)

    async def rollback(
        self, name: str, *, generation: int | None = None, by: str, wait: float = 0.0
    ) -> Operated:
        """Go back to an earlier generation, as it was built."""
        return await self._commanding.rollback(name, generation=generation, by=by, wait=wait)

    # -- messages

    async def send(self, *, sender: str, to: str, body: str) -> Message:
        """Send a message."""
        return await self._mail.send(sender=sender, to=to, body=body)

    async def recv(self, agent: str, *, wait: float = 0.0, limit: int = 1) -> tuple[Message, ...]:
        """Take unread messages."""
        return await self._mail.recv(agent, wait=wait, limit=limit)

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
        return await self._asking.gate(lambda reply: Ask(agent, question, options, multi, ttl, reply))

    async def answer(self, id: int, *, answer: str, by: str) -> QuestionView:
        """Answer a question."""
        return await self._deciding.close(id, answer, by=by)

    async def cancel_question(self, id: int, *, by: str) -> QuestionView:
        """Close a question unanswered."""
        return await self._deciding.close(id, None, by=by)

    async def request_spawn(
        self, name: str, *, by: str, note: str = "", ttl: float | None = None
    ) -> ApprovalView:
        """Ask the operator for a new agent, or for a kept one as it was."""
        return await self._deciding.submit(Kind.SPAWN, name, None, by=by, note=note, ttl=ttl)

    async def request_draft(self, name: str, *, by: str) -> DraftView:
        """Make the config repository and state folder of an agent to be."""
        return await self._deciding.draft(name, by=by)

    async def discard_draft(self, name: str, *, by: str) -> DraftView:
        """Delete a draft with its folders."""
        return await self._deciding.discard(name, by=by)

    async def request_commit(
        self,
        kind: Literal[Kind.SPAWN_COMMIT, Kind.APPLY_COMMIT],
        name: str,
        commit: str,
        *,
        by: str,
        note: str = "",
        ttl: float | None = None,
    ) -> ApprovalView:
        """Pin a commit and ask the operator to approve it."""
        return await self._deciding.submit(kind, name, commit, by=by, note=note, ttl=ttl)

    async def withdraw(self, id: int, *, by: str) -> ApprovalView:
        """Take a pending request back."""
        return await self._deciding.withdraw(id, by=by)

    async def approval(self, id: int) -> tuple[ApprovalView, ...]:
        """An approval and the others of its thread."""
        return await self._deciding.thread(id)

    async def decided(self, *, before: int | None = None, limit: int = 50) -> tuple[ApprovalView, ...]:
        """Approvals that do not wait any more, newest first."""
        return await self._deciding.decided(before, limit)

    async def decide(
        self, id: int, *, decision: Literal["approve", "deny", "revise"], note: str = "", by: str
    ) -> ApprovalView:
        """Decide an approval; what was approved begins at once."""
        return await self._deciding.decide(id, decision, note, by=by)

    async def approval_diff(self, id: int, *, against: Against = Against.RUNNING) -> str:
        """What would change, as text."""
        return await self._deciding.diff(id, against)

    async def approval_changes(self, id: int, *, against: Against = Against.RUNNING) -> Diff:
        """What would change, in files, hunks and lines."""
        return await self._deciding.changes(id, against)

    # -- harnesses

    async def harness_hello(self, name: str, hello: Hello, session: Session) -> Welcome:
        """A harness connected."""
        return await self._harnesses.hello(name, hello, session)

    async def harness_report(self, name: str, session: Session, n: int, report: Report) -> None:
        """Hand on a report."""
        self._harnesses.report(name, session, n, report)

    async def harness_items(self, name: str, session: Session, items: tuple[TurnItem, ...]) -> None:
        """Record turn events of the open turn."""
        await self._harnesses.items(name, session, items)

    async def harness_gone(self, name: str, session: Session) -> None:
        """The connection ended."""
        self._harnesses.gone(name, session)

"""What the fake hive knows, and reading it; ``tests.fakes.hive`` adds the commands."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sized
from dataclasses import dataclass, replace
from typing import Any

from hyperhive import origin
from hyperhive.domain.events import HelperEvent
from hyperhive.domain.messages import Message
from hyperhive.domain.names import OPERATOR, check_name
from hyperhive.domain.plain import as_json, as_plain
from hyperhive.domain.recorded import Recorded
from hyperhive.domain.turns import TurnItem
from hyperhive.domain.views import AgentView, ApprovalView, GenerationView, HiveSnapshot, MessageView
from hyperhive.errors import Refused, Unknown
from hyperhive.hive import Hive
from tests.fakes.feed import Feed
from tests.fakes.repositories import FIRST, FakeRepository
from tests.fakes.samples import generation_view, message_view


@dataclass(frozen=True)
class Call:
    """A command as it arrived."""

    verb: str
    args: dict[str, Any]


class FakeState(Hive):
    """A hive to look at, without actors, threads or disk.

    Args:
        snapshot: what is there at the beginning.
        settle: seconds after which an operation ends by itself; ``None``: when ``settle(name)`` is called.
        heartbeat: seconds between the stream's comments.
    """

    def __init__(
        self, snapshot: HiveSnapshot, *, settle: float | None = None, heartbeat: float = 15.0
    ) -> None:
        self.calls: list[Call] = []
        self.origins: list[str] = []
        self.audits: list[tuple[str, str]] = []
        self.logs_of: dict[str, list[str]] = {}
        self.turns_of: dict[str, list[TurnItem]] = {}
        self.samples: list[tuple[str, dict[str, str], float]] = [
            ("hyperhive_agents", {"container": "running"}, float(len(snapshot.agents)))
        ]
        self.finished_turns: list[dict[str, Any]] = []
        self.fail_with: Exception | None = None
        self.feed = Feed(seq=snapshot.seq, heartbeat=heartbeat)
        self.letters: list[Message] = []
        self.record: dict[int, ApprovalView] = {}
        self.repositories: dict[str, FakeRepository] = {}
        self.generations_of: dict[str, list[GenerationView]] = {
            agent.name: [
                generation_view(n, current=n == agent.generation) for n in range(agent.generation, 0, -1)
            ]
            for agent in snapshot.agents
        }
        self.builds_of: dict[str, list[str]] = {}
        self.building: set[str] = set()
        self.targets: dict[str, int] = {}
        self.outcomes: dict[str, tuple[bool, str]] = {}
        self._snapshot = snapshot
        self._settle_after = settle
        self._waiters: set[asyncio.Event] = set()
        self._change_log: list[frozenset[str]] = []

    # -- what a test does to it

    def publish(self, event: HelperEvent) -> Recorded:
        """Record ``event`` and send it to all streams."""
        recorded = self.feed.publish(event)
        self._snapshot = replace(self._snapshot, seq=recorded.seq)
        return recorded

    def replace(self, agent: AgentView) -> None:
        """Put ``agent`` in the place of the one with its name, or add it."""
        others = list(self._snapshot.agents)
        at = next((n for n, a in enumerate(others) if a.name == agent.name), len(others))
        others[at : at + 1] = [agent]
        self._set(agents=tuple(others))
        self.feed.patch({"agents": [as_plain(agent)], "gone": []})
        self._tell(agent.name)

    def add_turn_item(self, name: str, item: TurnItem) -> None:
        """Append a turn event, numbered."""
        kept = self.turns_of.setdefault(name, [])
        kept.append(replace(item, id=len(kept) + 1))
        self._tell(name)

    def append_log(self, name: str, line: str) -> None:
        """Append a line to the container's log."""
        self.logs_of.setdefault(name, []).append(line)
        self._tell(name)

    def begin_build(self, name: str) -> None:
        """Empty the build log; who follows it gets what comes until ``end_build``."""
        self.builds_of[name] = []
        self.building.add(name)
        self.append_build(name, f"Building {name}.")

    def append_build(self, name: str, line: str) -> None:
        """Append a line to the build log."""
        self.builds_of.setdefault(name, []).append(line)
        self._tell(name)

    def end_build(self, name: str) -> None:
        """Say no more in the build log."""
        self.building.discard(name)
        self._tell(name)

    def approvals(self) -> list[ApprovalView]:
        """All approvals, decided ones included, oldest first."""
        known = {**{approval.id: approval for approval in self._snapshot.approvals}, **self.record}
        return [known[id] for id in sorted(known)]

    # -- reading

    def snapshot(self) -> HiveSnapshot:
        return self._snapshot

    def snapshot_json(self) -> bytes:
        return as_json(self._snapshot).encode()

    def stream(
        self, *, after: int | None, kinds: frozenset[str] | None = None, views: bool = False
    ) -> AsyncIterator[bytes]:
        self._note("stream", after=after, kinds=kinds, views=views)
        return self.feed.stream(after=after, kinds=kinds, state=self.snapshot_json() if views else None)

    async def events(
        self, *, after: int = 0, limit: int = 1000, kinds: frozenset[str] | None = None
    ) -> list[str]:
        return [event.text for event in self.feed.after(after, limit=limit, kinds=kinds)]

    async def past(
        self,
        *,
        before: int | None = None,
        limit: int = 50,
        kinds: frozenset[str] | None = None,
        agent: str | None = None,
    ) -> list[str]:
        known = reversed(self.feed.after(0, limit=1_000_000, kinds=kinds))
        older = [e for e in known if before is None or e.seq < before]
        return [e.text for e in older if agent is None or e.agent == agent][:limit]

    async def messages(
        self, *, peer: str | None = None, after: int = 0, limit: int = 200
    ) -> tuple[MessageView, ...]:
        self._note("messages", peer=peer, after=after, limit=limit)
        if peer is not None and peer != OPERATOR:
            self._agent(peer)
        found = [m for m in self.letters if m.id > after and (peer is None or peer in (m.sender, m.to))]
        chosen = found[:limit] if after else found[-limit:]
        return tuple(message_view(message) for message in chosen)

    async def turns(self, name: str, *, after: int = 0, limit: int = 500) -> tuple[TurnItem, ...]:
        self._note("turns", name=name, after=after, limit=limit)
        self._agent(name)
        found = [item for item in self.turns_of.get(name, []) if item.id > after]
        return tuple(found[:limit] if after else found[-limit:])

    async def follow_turns(self, name: str, *, after: int = 0) -> AsyncIterator[TurnItem]:
        self._agent(name)
        while True:
            for item in self.turns_of.get(name, [])[after:]:
                after = item.id
                yield item
            await self._longer(self.turns_of.setdefault(name, []), after)

    async def logs(self, name: str, *, lines: int = 100) -> str:
        self._note("logs", name=name, lines=lines)
        self._agent(name)
        return "".join(f"{line}\n" for line in self.logs_of.get(name, [])[-lines:])

    async def follow_logs(self, name: str, *, lines: int = 100) -> AsyncIterator[str]:
        self._agent(name)
        log = self.logs_of.setdefault(name, [])
        at = max(0, len(log) - lines)
        while True:
            for line in log[at:]:
                at += 1
                yield line
            await self._longer(log, at)

    async def agent_config(self, name: str) -> str:
        agent = self._agent(name)
        if not agent.commit:
            raise Refused(f"'{name}' was not built yet; there is no config to show.", code="not-built")
        repository = self.repositories.get(name, FakeRepository(main=FIRST.sha))
        return repository.config(repository.main or FIRST.sha)

    async def agent_prompt(self, name: str) -> str | None:
        self._agent(name)
        repository = self.repositories.get(name, FakeRepository(main=FIRST.sha))
        return repository.prompt(repository.main or FIRST.sha)

    async def history(self, name: str) -> tuple[GenerationView, ...]:
        self._note("history", name=name)
        self._agent(name)
        return tuple(self.generations_of.get(name, ()))

    async def build_log(self, name: str) -> str:
        self._note("build_log", name=name)
        self._buildable(name)
        return "".join(f"{line}\n" for line in self.builds_of.get(name, []))

    async def follow_build(self, name: str) -> AsyncIterator[str]:
        self._buildable(name)
        log, at = self.builds_of.setdefault(name, []), 0
        while True:
            for line in log[at:]:
                at += 1
                yield line
            if name not in self.building:
                return
            await self._wait(lambda seen=at: len(log) > seen or name not in self.building)  # type: ignore[misc]

    async def stats(self, *, since: float = 86400.0, agent: str | None = None) -> bytes:
        self._note("stats", since=since, agent=agent)
        if agent is not None:
            self._agent(agent)
        return json.dumps([row for row in self.finished_turns if agent in (None, row["agent"])]).encode()

    def metrics(self) -> list[tuple[str, dict[str, str], float]]:
        return list(self.samples)

    async def changes(self) -> AsyncIterator[frozenset[str]]:
        at = len(self._change_log)
        while True:
            await self._longer(self._change_log, at)
            batch = frozenset[str]().union(*self._change_log[at:])
            at = len(self._change_log)
            yield batch

    # -- inside

    def _note(self, verb: str, **args: Any) -> None:
        self.calls.append(Call(verb, args))
        self.origins.append(origin.where())
        if self.fail_with is not None:
            raise self.fail_with

    def _agent(self, name: str) -> AgentView:
        found = self._snapshot.agent(check_name(name))
        if found is None:
            known = ", ".join(agent.name for agent in self._snapshot.agents) or "none"
            raise Unknown(f"There is no agent '{name}'; there are: {known}.", code="unknown-agent")
        return found

    def _buildable(self, name: str) -> None:
        if all(draft.name != name for draft in self._snapshot.drafts):
            self._agent(name)

    def _part(self, part: str) -> Any:
        return json.loads(self.snapshot_json())[part]

    def _set(self, *, told: str | None = None, **parts: Any) -> None:
        self._snapshot = replace(self._snapshot, **parts)
        if told is not None:
            self.feed.patch({"agents": [], "gone": [], told: self._part(told)})

    def _tell(self, name: str) -> None:
        self._change_log.append(frozenset({name}))
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            waiter.set()

    async def _longer(self, items: Sized, seen: int) -> None:
        await self._wait(lambda: len(items) > seen)

    async def _wait(self, predicate: Callable[[], bool], seconds: float | None = None) -> None:
        """Return when ``predicate`` holds or ``seconds`` have passed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not predicate():
                    woken = asyncio.Event()
                    self._waiters.add(woken)
                    await woken.wait()

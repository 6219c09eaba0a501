"""FakeHive: the façade in memory, refusing as the real one does. For tests of doors, and for designers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hyperhive import origin
from hyperhive.domain.approvals import State
from hyperhive.domain.events import (
    Destroyed,
    MessageSent,
    Paused,
    QuestionAnswered,
    QuestionAsked,
    Resumed,
)
from hyperhive.domain.messages import MAX_BATCH, MAX_WAIT, Message, check_body
from hyperhive.domain.names import MANAGER, OPERATOR, check_name
from hyperhive.domain.turns import TurnItem
from hyperhive.domain.views import KeptView, QuestionView
from hyperhive.domain.wire import Hello, Report, Welcome
from hyperhive.errors import Invalid, Refused, Unknown
from hyperhive.hive import Action, Operated, Session
from tests.fakes.hive_approvals import FakeApprovals
from tests.fakes.hive_state import Call
from tests.fakes.samples import agent_view, message_view

__all__ = ["Call", "FakeHive"]

_TRANSIENTS = {
    Action.START: "starting",
    Action.STOP: "stopping",
    Action.RESTART: "restarting",
    Action.UPDATE: "rebuilding",
}


class FakeHive(FakeApprovals):
    """A hive without actors, threads or disk: ``FakeHive(snapshot("manager", "alice"))``.

    ``calls`` holds what it was asked, ``origins`` through which doors; ``publish``, ``replace``, ``settle``,
    ``add_turn_item`` and ``append_log`` make things happen, ``commit`` is what the manager commits to
    ``proposed/``, ``append_build`` what a build says; ``fail_with`` is raised by the next calls.
    """

    async def audit(self, action: str, *, by: str) -> None:
        self.audits.append((action, origin.where()))

    # -- agents

    async def spawn(self, name: str, *, by: str) -> Operated:
        self._note("spawn", name=name, by=by)
        check_name(name)
        if self._snapshot.agent(name) is not None:
            raise Refused(f"There is already an agent '{name}'; choose another name.", code="exists")
        if any(draft.name == name for draft in self._snapshot.drafts):
            raise Refused(f"'{name}' is a draft; propose a commit of it, or discard it.", code="exists")
        self._set(kept=tuple(kept for kept in self._snapshot.kept if kept.name != name), told="kept")
        self.replace(agent_view(name, container="stopped", pid=None, ready=False, generation=0, commit=""))
        return self._begin(name, "spawning")

    async def operate(self, action: Action, name: str, *, by: str, wait: float = 0.0) -> Operated:
        self._note("operate", action=action, name=name, by=by, wait=wait)
        agent = self._agent(name)
        if action in (Action.PAUSE, Action.RESUME):
            paused = action is Action.PAUSE
            self.publish(Paused(agent=name) if paused else Resumed(agent=name))
            self.replace(replace(agent, paused=paused, quarantined=None))
            return Operated(name, None, ok=True)
        if name == by and action is Action.UPDATE:
            raise Refused("An agent cannot rebuild itself; the operator can.", code="not-itself")
        if agent.transient not in (None, _TRANSIENTS[action]):
            raise Refused(f"'{name}' is {agent.transient}; wait until that has ended.", code="busy")
        idle = {Action.START: "running", Action.STOP: "stopped"}.get(action)
        if agent.transient is None and agent.container == idle:
            return Operated(name, None, ok=True, note=f"It is {idle} already.")
        operated = self._begin(name, _TRANSIENTS[action])
        if wait > 0:
            return await self._waited(operated, wait)
        return operated

    async def rollback(
        self, name: str, *, generation: int | None = None, by: str, wait: float = 0.0
    ) -> Operated:
        self._note("rollback", name=name, generation=generation, by=by, wait=wait)
        agent = self._agent(name)
        known = {g.number: g for g in self.generations_of.get(name, ())}
        older = [g.number for g in known.values() if g.here and g.number < agent.generation]
        target = generation if generation is not None else max(older, default=0)
        if target not in known or not known[target].here:
            there = ", ".join(str(g.number) for g in known.values() if g.here and not g.current) or "none"
            what = f"generation {target}" if target else "no earlier generation"
            raise Refused(
                f"'{name}' cannot go back to {what}; there are: {there}.", code="unknown-generation"
            )
        if agent.transient is not None:
            raise Refused(f"'{name}' is {agent.transient}; wait until that has ended.", code="busy")
        if known[target].current:
            return Operated(name, None, ok=True, note=f"It runs generation {target} already.")
        self.targets[name] = target
        operated = self._begin(name, "rebuilding")
        return await self._waited(operated, wait) if wait > 0 else operated

    async def _waited(self, operated: Operated, wait: float) -> Operated:
        name = operated.agent
        await self._wait(lambda: self._agent(name).transient is None, wait)
        ok, note = self.outcomes.get(name, (True, ""))
        return Operated(name, None, ok=ok, note=note)

    async def destroy(self, name: str, *, purge: bool = False, by: str) -> Operated:
        self._note("destroy", name=name, purge=purge, by=by)
        agent = self._agent(name)
        if agent.role == MANAGER:
            raise Refused("The manager cannot be destroyed; stop it instead.", code="manager-stays")
        for approval in self._snapshot.approvals:
            if approval.agent == name:
                self._resolve(approval, State.WITHDRAWN, by=by, note=f"'{name}' was destroyed.")
        self._set(agents=tuple(a for a in self._snapshot.agents if a.name != name))
        if not purge:
            self._set(
                kept=(
                    *self._snapshot.kept,
                    KeptView(name=name, since=datetime.now(UTC), logged_in=True, size=123_456),
                )
            )
        self.publish(Destroyed(agent=name))
        self.feed.patch({"agents": [], "gone": [name], "kept": self._part("kept")})
        self._tell(name)
        return Operated(name, "destroying")

    async def revive(self, name: str, *, by: str) -> Operated:
        self._kept(name)
        return await self.spawn(name, by=by)

    async def purge(self, name: str, *, by: str) -> KeptView:
        self._note("purge", name=name, by=by)
        kept = self._kept(name)
        self._set(kept=tuple(k for k in self._snapshot.kept if k.name != name), told="kept")
        return kept

    # -- messages

    async def send(self, *, sender: str, to: str, body: str) -> Message:
        self._note("send", sender=sender, to=to, body=body)
        check_body(body)
        if to != OPERATOR:
            self._agent(to)
        message = Message(id=len(self.letters) + 1, sender=sender, to=to, body=body, ts=datetime.now(UTC))
        self.letters.append(message)
        if to == OPERATOR:
            self._set(inbox=(*self._snapshot.inbox, message_view(message)), told="inbox")
        self.publish(MessageSent(agent=sender, id=message.id, sender=sender, to=to))
        self._tell(to)
        return message

    async def recv(self, agent: str, *, wait: float = 0.0, limit: int = 1) -> tuple[Message, ...]:
        self._note("recv", agent=agent, wait=wait, limit=limit)
        if not 0 <= wait <= MAX_WAIT:
            raise Invalid(f"wait_seconds must be 0 to {MAX_WAIT:.0f}.", code="bad-wait")
        if wait > 0:
            await self._wait(lambda: bool(self._unread(agent)), wait)
        taken = self._unread(agent)[: min(limit, MAX_BATCH)]
        for message in taken:
            self.letters[message.id - 1] = replace(message, state="done")
        return tuple(taken)

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
        self._note("ask", agent=agent, question=question, options=options, multi=multi, ttl=ttl)
        now = datetime.now(UTC)
        asked = QuestionView(
            id=max((q.id for q in self._snapshot.questions), default=0) + 1,
            agent=agent,
            question=question,
            options=options,
            multi=multi,
            asked=now,
            deadline=None if ttl is None else now + timedelta(seconds=ttl),
        )
        self._set(questions=(*self._snapshot.questions, asked), told="questions")
        self.publish(QuestionAsked(agent=agent, id=asked.id))
        return asked

    async def answer(self, id: int, *, answer: str, by: str) -> QuestionView:
        self._note("answer", id=id, answer=answer, by=by)
        closed = self._close_question(id, {"state": "answered", "answer": answer, "by": by})
        self.publish(QuestionAnswered(agent=closed.agent, id=id, answer=answer, by=by))
        return closed

    async def cancel_question(self, id: int, *, by: str) -> QuestionView:
        self._note("cancel_question", id=id, by=by)
        return self._close_question(id, {"state": "cancelled", "by": by})

    # -- harnesses: recorded, nothing more

    async def harness_hello(self, name: str, hello: Hello, session: Session) -> Welcome:
        self._note("harness_hello", name=name, hello=hello)
        return Welcome(agent=name, role=self._agent(name).role)

    async def harness_report(self, name: str, session: Session, n: int, report: Report) -> None:
        self._note("harness_report", name=name, n=n, report=report)

    async def harness_items(self, name: str, session: Session, items: tuple[TurnItem, ...]) -> None:
        for item in items:
            self.add_turn_item(name, item)

    async def harness_gone(self, name: str, session: Session) -> None:
        self._note("harness_gone", name=name)

    # -- inside

    def _kept(self, name: str) -> KeptView:
        found = next((kept for kept in self._snapshot.kept if kept.name == check_name(name)), None)
        if found is None:
            raise Unknown(f"Nothing is kept of '{name}'.", code="unknown-kept")
        return found

    def _close_question(self, id: int, fields: dict[str, Any]) -> QuestionView:
        found = next((q for q in self._snapshot.questions if q.id == id), None)
        if found is None:
            raise Unknown(f"There is no question {id}.", code="unknown-question")
        if found.state != "open":
            raise Refused(f"Question {id} was {found.state} by {found.by}.", code="closed")
        closed = replace(found, **fields)
        rest = tuple(closed if q.id == id else q for q in self._snapshot.questions)
        self._set(questions=rest, told="questions")
        return closed

    def _unread(self, agent: str) -> list[Message]:
        return [m for m in self.letters if m.to == agent and m.state == "unread"]

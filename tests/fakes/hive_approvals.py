"""What the fake hive does about drafts, proposals and decisions, and how an operation of its ends."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

from hyperhive import origin
from hyperhive.domain.approvals import Against, Kind, State, advance
from hyperhive.domain.diff import Diff
from hyperhive.domain.events import (
    ApprovalRequested,
    ApprovalResolved,
    ConfigApplied,
    DraftCreated,
    DraftDiscarded,
    HelperEvent,
    Rebuilt,
    Spawned,
    Started,
    Stopped,
    TransientCleared,
    TransientSet,
)
from hyperhive.domain.names import OPERATOR, check_name
from hyperhive.domain.views import AgentView, ApprovalView, DraftView, GenerationView
from hyperhive.errors import Invalid, Refused, Unknown
from hyperhive.hive import Operated
from tests.fakes.hive_state import FakeState
from tests.fakes.repositories import FIRST, FakeRepository, Files, now, unified
from tests.fakes.samples import agent_view

_UNDER_WAY = (State.APPROVED, State.BUILDING)
_STATES = {"approve": State.APPROVED, "deny": State.DENIED, "revise": State.REVISE}


class FakeApprovals(FakeState):
    """Drafts, proposals, decisions, builds, generations."""

    # -- what a test does to it

    def commit(self, name: str, files: Files, *, summary: str = "Change the config") -> str:
        """Commit to the ``proposed/`` of an agent or draft, as the manager does; the commit's sha."""
        return self.repository(name).commit(files, summary)

    def settle(self, name: str, *, ok: bool = True, note: str = "") -> None:
        """End the operation that is under way with ``name``; builds and spawns may end badly, saying ``note``."""
        agent = self._agent(name)
        changed: Mapping[str, Any]
        event: HelperEvent
        match agent.transient:
            case "stopping":
                changed = {"container": "stopped", "pid": None, "ready": False}
                event = Stopped(agent=name, by=OPERATOR)
            case "rebuilding" | "spawning":
                changed, event = self._built(agent, ok, note)
            case _:
                changed = {"container": "running", "pid": 4712, "ready": True}
                event = Started(agent=name)
        self.outcomes[name] = (ok, note)
        self.publish(event)
        self.publish(TransientCleared(agent=name))
        self.end_build(name)
        if not ok and agent.transient == "spawning" and self._draft_again(name):
            return
        self.replace(replace(agent, transient=None, transient_since=None, **changed))

    def _built(self, agent: AgentView, ok: bool, note: str) -> tuple[Mapping[str, Any], HelperEvent]:
        name, target = agent.name, self.targets.pop(agent.name, None)
        approval = next((a for a in self._of(name) if a.state in _UNDER_WAY), None)
        spawning = agent.transient == "spawning"
        self.append_build(name, "Done." if ok else f"Failed: {note}")
        if approval is not None:
            ended = {"state": State.DEPLOYED} if ok else {"state": State.FAILED, "outcome": note}
            self._record(replace(approval, **ended))
        if not ok:
            gone = {"container": "stopped", "pid": None, "ready": False} if spawning else {}
            failed = Spawned(agent=name, ok=False, note=note) if spawning else None
            return {**gone, "last_error": note}, failed or Rebuilt(agent=name, ok=False, note=note)
        made = self._generation(name, approval, target)
        if approval is not None:
            self.publish(ConfigApplied(agent=name, sha=made.commit, tag=f"deployed/{approval.id}"))
        changed = {
            "generation": made.number, "commit": made.commit, "recorded_revision": made.revision,
            "revision": "up-to-date", "container": "running", "pid": 4713, "ready": True, "last_error": None,
        }  # fmt: skip
        if spawning:
            return changed, Spawned(agent=name, ok=True)
        back = f"went back to generation {target}" if target is not None else ""
        return changed, Rebuilt(agent=name, ok=True, revision=made.revision, note=back)

    def _generation(self, name: str, approval: ApprovalView | None, target: int | None) -> GenerationView:
        """The generation that is current from now on; all but the newest five lose their folders."""
        known, repository = list(self.generations_of.get(name, ())), self.repository(name)
        if target is None:
            sha = (approval.sha if approval else None) or repository.main or FIRST.sha
            made = GenerationView(
                number=max((g.number for g in known), default=0) + 1,
                commit=sha,
                revision=f"0.1.0-{sha[:12]}",
                summary=repository.commits[sha].summary,
                made=now(),
                by=(approval.by if approval else None) or OPERATOR,
                approval=approval.id if approval else None,
            )
            known.insert(0, made)
            target = made.number
        views = [
            replace(g, current=g.number == target, here=n < 5 or g.number == target)
            for n, g in enumerate(known)
        ]
        self.generations_of[name] = views
        current = next(g for g in views if g.current)
        repository.main = current.commit
        return current

    def _draft_again(self, name: str) -> bool:
        """An agent from a commit whose first build failed is a draft again."""
        last = self._of(name)[-1:]
        if not last or last[0].kind is not Kind.SPAWN_COMMIT:
            return False
        self._set(agents=tuple(a for a in self._snapshot.agents if a.name != name))
        draft = DraftView(name=name, created=now(), by=last[0].requested_by, size=4096)
        self._set(drafts=(*self._snapshot.drafts, draft))
        self.feed.patch({"agents": [], "gone": [name], "drafts": self._part("drafts")})
        self._tell(name)
        return True

    # -- drafts

    async def request_draft(self, name: str, *, by: str) -> DraftView:
        self._note("request_draft", name=name, by=by)
        self._free(name)
        kept = any(k.name == name for k in self._snapshot.kept)
        draft = DraftView(name=name, created=now(), by=by, size=4096, kept=kept)
        self._set(kept=tuple(k for k in self._snapshot.kept if k.name != name), told="kept")
        self._set(drafts=(*self._snapshot.drafts, draft), told="drafts")
        self.repository(name)
        self.publish(DraftCreated(agent=name, by=by))
        return draft

    async def discard_draft(self, name: str, *, by: str) -> DraftView:
        self._note("discard_draft", name=name, by=by)
        draft = self._draft(name)
        for approval in self._of(name):
            if approval.state is State.PENDING:
                self._resolve(approval, State.WITHDRAWN, by=by, note="the draft was discarded")
        self._set(drafts=tuple(d for d in self._snapshot.drafts if d.name != name), told="drafts")
        self.repositories.pop(name, None)
        self.publish(DraftDiscarded(agent=name, by=by))
        return draft

    # -- proposals

    async def request_spawn(
        self, name: str, *, by: str, note: str = "", ttl: float | None = None
    ) -> ApprovalView:
        self._note("request_spawn", name=name, by=by, note=note, ttl=ttl)
        self._free(name)
        return self._submit(Kind.SPAWN, name, None, by=by, note=note, ttl=ttl)

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
        self._note("request_commit", kind=kind, name=name, commit=commit, by=by, note=note, ttl=ttl)
        if kind is Kind.SPAWN_COMMIT:
            self._draft(name)
        else:
            self._agent(name)
        sha = self.repository(name).pin(commit).sha
        return self._submit(kind, name, sha, by=by, note=note, ttl=ttl)

    def _submit(
        self, kind: Kind, name: str, sha: str | None, *, by: str, note: str, ttl: float | None
    ) -> ApprovalView:
        repository, before = self.repository(name), self._of(name)
        for waits in before:
            if waits.state is State.PENDING and (waits.kind, waits.sha) == (kind, sha):
                return waits
        goes_on = bool(before) and before[-1].state in (State.PENDING, State.REVISE)
        id = max((a.id for a in self.approvals()), default=0) + 1
        for older in before:
            if older.state is State.PENDING:
                self._resolve(older, State.SUPERSEDED, by=by, note="superseded by a newer submission")
        thread = (before[-1].thread or before[-1].id) if goes_on else id
        asked = ApprovalView(
            id=id, kind=kind, agent=name, requested_by=by, requested=now(), sha=sha, description=note,
            summary=repository.commits[sha].summary if sha else "", thread=thread, base=repository.main,
            deadline=None if ttl is None else now() + timedelta(seconds=ttl),
        )  # fmt: skip
        stat: dict[str, Any] = {**repository.stat(repository.main, sha or FIRST.sha)}
        asked = replace(asked, **stat)
        self._record(asked)
        self.publish(ApprovalRequested(agent=name, id=id, approval=kind, sha=sha))
        return asked

    async def withdraw(self, id: int, *, by: str) -> ApprovalView:
        self._note("withdraw", id=id, by=by)
        found = self._approval(id)
        if found.requested_by != by:
            raise Refused(
                f"Approval {id} was asked for by {found.requested_by}; only they take it back.",
                code="not-yours",
            )
        return self._resolve(found, State.WITHDRAWN, by=by, note="")

    async def decide(
        self, id: int, *, decision: Literal["approve", "deny", "revise"], note: str = "", by: str
    ) -> ApprovalView:
        self._note("decide", id=id, decision=decision, note=note, by=by)
        found = self._approval(id)
        if found.state is State.PENDING and decision == "revise" and not note.strip():
            raise Invalid("Say in a note what to change.", code="note-missing")
        decided = self._resolve(found, _STATES[decision], by=by, note=note)
        if decision == "approve":
            self._carry_out(decided)
        return decided

    def _carry_out(self, approval: ApprovalView) -> None:
        name = approval.agent
        if approval.kind is Kind.APPLY_COMMIT:
            self._begin(name, "rebuilding")
            return
        self._set(kept=tuple(k for k in self._snapshot.kept if k.name != name), told="kept")
        self._set(drafts=tuple(d for d in self._snapshot.drafts if d.name != name), told="drafts")
        self.replace(agent_view(name, container="stopped", pid=None, ready=False, generation=0, commit=""))
        self._begin(name, "spawning")

    def _resolve(self, found: ApprovalView, to: State, *, by: str, note: str) -> ApprovalView:
        state = advance(found.id, found.state, to, by=found.by, when=found.decided)
        decided = replace(found, state=state, by=by, note=note, decided=now(), where=origin.where())
        self._record(decided)
        tag = f"{state}/{found.id}" if found.sha else None
        self.publish(
            ApprovalResolved(
                agent=found.agent, id=found.id, approval=found.kind, decision=state, sha=found.sha,
                tag=tag, note=note, by=by, where=origin.where(),
            )
        )  # fmt: skip
        return decided

    def _record(self, view: ApprovalView) -> None:
        self.record[view.id] = view
        waiting = tuple(a for a in self.approvals() if a.state is State.PENDING)
        self._set(approvals=waiting, told="approvals")

    # -- reading them

    async def approval(self, id: int) -> tuple[ApprovalView, ...]:
        found = self._approval(id)
        thread = found.thread or found.id
        return tuple(a for a in self.approvals() if (a.thread or a.id) == thread)

    async def decided(self, *, before: int | None = None, limit: int = 50) -> tuple[ApprovalView, ...]:
        self._note("decided", before=before, limit=limit)
        ended = [a for a in self.approvals() if a.state is not State.PENDING]
        return tuple([a for a in reversed(ended) if before is None or a.id < before][:limit])

    async def approval_diff(self, id: int, *, against: Against = Against.RUNNING) -> str:
        return unified(await self.approval_changes(id, against=against))

    async def approval_changes(self, id: int, *, against: Against = Against.RUNNING) -> Diff:
        found = self._approval(id)
        earlier = [a for a in self._of(found.agent) if a.id < id and a.sha]
        approved = [a for a in earlier if a.state in (*_UNDER_WAY, State.DEPLOYED, State.FAILED)]
        match against:
            case Against.RUNNING:
                base = self.repository(found.agent).main if found.state is State.PENDING else found.base
            case Against.PROPOSAL:
                base = earlier[-1].sha if earlier else None
            case Against.APPROVED:
                base = approved[-1].sha if approved else None
        return self.repository(found.agent).changes(base, found.sha or FIRST.sha)

    # -- inside

    def _of(self, name: str) -> list[ApprovalView]:
        return [approval for approval in self.approvals() if approval.agent == name]

    def _approval(self, id: int) -> ApprovalView:
        found = next((approval for approval in self.approvals() if approval.id == id), None)
        if found is None:
            raise Unknown(f"There is no approval {id}.", code="unknown-approval")
        return found

    def _draft(self, name: str) -> DraftView:
        found = next((draft for draft in self._snapshot.drafts if draft.name == check_name(name)), None)
        if found is None:
            known = ", ".join(draft.name for draft in self._snapshot.drafts) or "none"
            raise Unknown(f"There is no draft '{name}'; there are: {known}.", code="unknown-draft")
        return found

    def _free(self, name: str) -> None:
        check_name(name)
        if self._snapshot.agent(name) is not None:
            raise Refused(f"There is already an agent '{name}'; choose another name.", code="exists")
        if any(draft.name == name for draft in self._snapshot.drafts):
            raise Refused(f"There is already a draft '{name}'; commit its config.", code="exists")

    def repository(self, name: str) -> FakeRepository:
        """The config repositories of an agent or draft; an agent that is there runs its first commit."""
        if name not in self.repositories:
            agent = self._snapshot.agent(name)
            self.repositories[name] = FakeRepository(main=FIRST.sha if agent and agent.commit else None)
        return self.repositories[name]

    def _begin(self, name: str, transient: str) -> Operated:
        if self._agent(name).transient is None:
            self.publish(TransientSet(agent=name, transient=transient))
            self.replace(replace(self._agent(name), transient=transient, transient_since=now()))
            if transient in ("rebuilding", "spawning"):
                self.begin_build(name)
            if self._settle_after is not None:
                asyncio.get_running_loop().call_later(self._settle_after, self.settle, name)
        return Operated(name, transient)

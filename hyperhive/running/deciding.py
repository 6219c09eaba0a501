"""Deciding: what waits for the operator. Questions, proposals with their diffs, drafts."""

import asyncio
from typing import Literal

from hyperhive import origin
from hyperhive.actors.petitions import Decide, Discard, Draft, Submit, Withdraw
from hyperhive.actors.questions import Close
from hyperhive.domain.agent_config import DEFAULT
from hyperhive.domain.approvals import Against, Kind, State
from hyperhive.domain.diff import Diff, parse
from hyperhive.domain.names import check_name
from hyperhive.domain.views import ApprovalView, DraftView, QuestionView
from hyperhive.errors import Refused, Unknown
from hyperhive.repos.repositories import Repositories
from hyperhive.running.asking import Asking

REPOSITORIES = 50.0
"""Seconds for what has to read or write repositories; each call of git has a deadline of its own."""


class Deciding:
    """Asks the Gatekeeper, and compares commits."""

    def __init__(self, *, asking: Asking, repos: Repositories) -> None:
        self._asking = asking
        self._repos = repos

    # -- questions

    async def close(self, id: int, answer: str | None, *, by: str) -> QuestionView:
        """Answer a question, or cancel it."""
        asked = await asyncio.to_thread(self._asking.reader.questions.get, id)
        if asked is None:
            raise Unknown(f"There is no question {id}.", code="unknown-question")
        action = "cancel" if answer is None else "answer"
        await self._asking.audit(action, asked.agent, by=by, note=f"question {id}")
        return await self._asking.gate(lambda reply: Close(id, answer, by, reply))

    # -- proposals

    async def submit(
        self, kind: Kind, name: str, commit: str | None, *, by: str, note: str, ttl: float | None
    ) -> ApprovalView:
        """Ask for a change."""
        check_name(name)
        what = f"{kind.value} {ascii(commit)[1:-1][:40]}" if commit is not None else kind.value
        await self._asking.audit("propose", name, by=by, note=what)
        return await self._asking.gate(
            lambda reply: Submit(kind, name, commit, by, note, ttl, reply), deadline=REPOSITORIES
        )

    async def withdraw(self, id: int, *, by: str) -> ApprovalView:
        """Take a request back; it is recorded with who did."""
        where = origin.where()
        return await self._asking.gate(lambda reply: Withdraw(id, by, where, reply), deadline=REPOSITORIES)

    async def decide(
        self, id: int, decision: Literal["approve", "deny", "revise"], note: str, *, by: str
    ) -> ApprovalView:
        """Decide an approval; it is recorded with who did."""
        where = origin.where()
        return await self._asking.gate(
            lambda reply: Decide(id, decision, note, by, where, reply), deadline=REPOSITORIES
        )

    # -- drafts

    async def draft(self, name: str, *, by: str) -> DraftView:
        """Make a draft."""
        check_name(name)
        await self._asking.audit("draft", name, by=by)
        return await self._asking.gate(lambda reply: Draft(name, by, reply), deadline=REPOSITORIES)

    async def discard(self, name: str, *, by: str) -> DraftView:
        """Delete a draft."""
        check_name(name)
        await self._asking.audit("discard", name, by=by)
        return await self._asking.gate(lambda reply: Discard(name, by, reply), deadline=REPOSITORIES)

    # -- reading

    async def thread(self, id: int) -> tuple[ApprovalView, ...]:
        """An approval and the others of its thread."""
        found = await asyncio.to_thread(self._asking.reader.approvals.thread, id)
        if not found:
            await asyncio.to_thread(self._asking.reader.approvals.known, id)
        return tuple(found)

    async def decided(self, before: int | None, limit: int) -> tuple[ApprovalView, ...]:
        """Those that do not wait any more."""
        read = self._asking.reader.approvals.decided
        return tuple(await asyncio.to_thread(read, before, max(1, min(limit, 1000))))

    async def diff(self, id: int, against: Against) -> str:
        """What would change, as text."""
        return await asyncio.to_thread(lambda: self._compare(id, against)[2])

    async def changes(self, id: int, against: Against) -> Diff:
        """The same, read into files, hunks and lines."""

        def read() -> Diff:
            base, sha, text = self._compare(id, against)
            return parse(text, base=base, sha=sha)

        return await asyncio.to_thread(read)

    def _compare(self, id: int, against: Against) -> tuple[str | None, str | None, str]:
        """The two commits that are compared, and what differs; blocks."""
        view = self._asking.reader.approvals.known(id)
        base = self._base(view, against)
        if view.sha is None:
            return None, None, _first_config()
        return base, view.sha, self._repos.diff(view.agent, base, view.sha)

    def _base(self, view: ApprovalView, against: Against) -> str | None:
        reader = self._asking.reader
        match against:
            case Against.RUNNING:
                if view.state is not State.PENDING:
                    return view.base
                record = reader.agents.get(view.agent)
                return (record.built_commit or None) if record is not None else None
            case Against.PROPOSAL:
                earlier = reader.approvals.last_of(view.agent, before=view.id)
            case Against.APPROVED:
                earlier = reader.approvals.last_approved(view.agent, before=view.id)
        return self._there(view.agent, earlier.sha) if earlier is not None else None

    def _there(self, name: str, sha: str | None) -> str | None:
        """``sha``, unless it went with the folders of an earlier one of that name."""
        if sha is None:
            return None
        try:
            self._repos.summary(name, sha)
        except Refused:
            return None
        return sha


def _first_config() -> str:
    lines = DEFAULT.splitlines()
    head = (
        "diff --git a/agent.toml b/agent.toml",
        "new file mode 100644",
        "--- /dev/null",
        "+++ b/agent.toml",
    )
    return "\n".join([*head, f"@@ -0,0 +1,{len(lines)} @@", *(f"+{line}" for line in lines), ""])

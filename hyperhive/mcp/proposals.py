"""Asking for changes: drafts, and commits for the operator to approve. Nothing here decides anything."""

from typing import Annotated, Literal

from pydantic import Field

from hyperhive.domain.approvals import MAX_NOTE, Kind
from hyperhive.domain.names import OPERATOR, check_name
from hyperhive.domain.views import taken_from
from hyperhive.errors import Invalid
from hyperhive.mcp.agent import MAX_TTL, Messaging
from hyperhive.mcp.results import Drafted, Request, Requested, Requests
from hyperhive.mcp.toolbox import tool

MAX_DECIDED = 20
"""Decided requests that one listing gives."""
AGENTS = "$HYPERHIVE_AGENTS"
"""How the manager's shell and prompt call the folder of all agents' configs."""

NewName = Annotated[str, Field(description="The new agent's name.")]
Commit = Annotated[
    str,
    Field(description="A commit of its config folder, 7 to 40 hex digits: what git rev-parse HEAD prints."),
]
Note = Annotated[str, Field(max_length=MAX_NOTE, description="What it is for, for the operator who decides.")]
Ttl = Annotated[
    float | None,
    Field(ge=1, le=MAX_TTL, allow_inf_nan=False, description="Let it expire undecided after so long."),
]
RequestId = Annotated[int, Field(ge=1, le=2**53, description="The id that a request_* tool returned.")]


class Proposing(Messaging):
    """What only a manager may ask for."""

    @tool("Ask for a new agent")
    async def request_spawn(self, name: NewName, note: Note = "", ttl_seconds: Ttl = None) -> Requested:
        """Ask the operator to approve a new agent with the standard config; the decision comes as a message."""
        found = await self._hive.request_spawn(
            check_name(name), by=self._caller, note=_plain(note), ttl=ttl_seconds
        )
        return Requested.of(found)

    @tool("Draft a new agent")
    async def request_spawn_draft(self, name: NewName) -> Drafted:
        """Make the config and state folders of an agent to be; fill them, commit, then request_spawn_commit."""
        draft = await self._hive.request_draft(check_name(name), by=self._caller)
        if self._caller == OPERATOR:
            own = f"agents/{draft.name}"
            return Drafted.of(draft, config=f"{own}/proposed", state=f"{own}/state", where=_IN_HOME)
        own = f"{AGENTS}/{draft.name}"
        return Drafted.of(draft, config=f"{own}/config", state=f"{own}/state", where="")

    @tool("Ask to spawn a draft")
    async def request_spawn_commit(
        self, name: NewName, commit_ref: Commit, note: Note = "", ttl_seconds: Ttl = None
    ) -> Requested:
        """Ask the operator to approve a draft at this commit; then the agent is made from exactly it."""
        return await self._request(Kind.SPAWN_COMMIT, name, commit_ref, note=note, ttl=ttl_seconds)

    @tool("Ask to apply a config")
    async def request_apply_commit(
        self,
        name: Annotated[str, Field(description="An agent's name; your own too.")],
        commit_ref: Commit,
        note: Note = "",
        ttl_seconds: Ttl = None,
    ) -> Requested:
        """Ask the operator to approve another config for an agent: this commit; then the agent is rebuilt."""
        return await self._request(Kind.APPLY_COMMIT, name, commit_ref, note=note, ttl=ttl_seconds)

    @tool("Take a request back", idempotent=True)
    async def withdraw(self, id: RequestId) -> Request:
        """Take back a request of yours that is not decided yet."""
        return Request.of(await self._hive.withdraw(id, by=self._caller))

    @tool("List requests", reads=True, idempotent=True)
    async def list_requests(self) -> Requests:
        """What waits for the operator's approval, and what was decided last, newest first."""
        pending = sorted(self._hive.snapshot().approvals, key=lambda each: each.id, reverse=True)
        decided = await self._hive.decided(limit=MAX_DECIDED)
        return Requests(pending=tuple(map(Request.of, pending)), decided=tuple(map(Request.of, decided)))

    async def _request(
        self,
        kind: Literal[Kind.SPAWN_COMMIT, Kind.APPLY_COMMIT],
        name: str,
        commit: str,
        *,
        note: str,
        ttl: float | None,
    ) -> Requested:
        found = await self._hive.request_commit(
            kind, check_name(name), commit, by=self._caller, note=_plain(note), ttl=ttl
        )
        thread = await self._hive.approval(found.id)
        return Requested.of(found, supersedes=taken_from(thread, found.id))


_IN_HOME = " in the hive's home"


def _plain(note: str) -> str:
    """A note as the record takes it: valid Unicode without NUL."""
    if "\0" in note or any("\ud800" <= char <= "\udfff" for char in note):
        raise Invalid("A note is plain text; remove NUL characters and lone surrogates.", code="bad-note")
    return note

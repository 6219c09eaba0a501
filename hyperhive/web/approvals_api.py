"""``/api/approvals`` and ``/api/drafts``: what is proposed, what it would change, and what the operator says."""

import asyncio
import hashlib
from typing import Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hyperhive.domain.approvals import MAX_NOTE, Against, Kind
from hyperhive.domain.names import OPERATOR, check_name
from hyperhive.domain.plain import as_plain
from hyperhive.domain.value import Value
from hyperhive.domain.views import taken_from
from hyperhive.errors import Unknown
from hyperhive.hive import Hive
from hyperhive.web import asked
from hyperhive.web.told import Told

MOST_APPROVALS = 500
"""Approvals in one answer."""


class Note(Value):
    """``POST /api/approvals/{id}/approve``, ``deny``, ``revise``."""

    note: str = Field(default="", max_length=MAX_NOTE)


class Nothing(Value):
    """A body that says nothing."""


class Proposal(Value):
    """``POST /api/approvals``."""

    name: str
    commit: str = Field(max_length=100)
    note: str = Field(default="", max_length=MAX_NOTE)


class NewDraft(Value):
    """``POST /api/drafts``."""

    name: str


class ApprovalsApi:
    """The routes about approvals and drafts."""

    def __init__(self, *, hive: Hive) -> None:
        self._hive = hive

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        approval = "/api/approvals/{id}"
        return [
            Route("/api/approvals", self.decided, methods=["GET"]),
            Route("/api/approvals", self.propose, methods=["POST"]),
            Route(approval, self.approval, methods=["GET"]),
            Route(f"{approval}/diff", self.diff),
            Route(f"{approval}/approve", self.approve, methods=["POST"]),
            Route(f"{approval}/deny", self.deny, methods=["POST"]),
            Route(f"{approval}/revise", self.revise, methods=["POST"]),
            Route(f"{approval}/withdraw", self.withdraw, methods=["POST"]),
            Route("/api/drafts", self.draft, methods=["POST"]),
            Route("/api/drafts/{name}", self.discard, methods=["DELETE"]),
        ]

    async def decided(self, request: Request) -> Response:
        before = asked.query(request, "before", default=0, least=1) or None
        limit = asked.query(request, "limit", default=50, least=1, most=MOST_APPROVALS)
        found = await self._hive.decided(before=before, limit=limit)
        return Told({"approvals": found})

    async def propose(self, request: Request) -> Response:
        """A change for an agent that is there, an agent for a draft."""
        new = await asked.body(request, Proposal)
        name, snapshot = check_name(new.name), self._hive.snapshot()
        kind: Literal[Kind.SPAWN_COMMIT, Kind.APPLY_COMMIT] = Kind.APPLY_COMMIT
        if snapshot.agent(name) is None:
            drafts = [draft.name for draft in snapshot.drafts]
            if name not in drafts:
                known = ", ".join([*(agent.name for agent in snapshot.agents), *drafts]) or "none"
                raise Unknown(
                    f"There is no agent or draft '{name}'; there are: {known}.", code="unknown-agent"
                )
            kind = Kind.SPAWN_COMMIT
        view = await self._hive.request_commit(kind, name, new.commit, by=OPERATOR, note=new.note)
        supersedes = taken_from(await self._hive.approval(view.id), view.id)
        return Told({**as_plain(view), "supersedes": supersedes}, 201)

    async def approval(self, request: Request) -> Response:
        id = asked.id(request)
        thread = await self._hive.approval(id)
        found = next((view for view in thread if view.id == id), None)
        if found is None:
            raise Unknown(f"There is no approval {id}.", code="unknown-approval")
        return Told({"approval": found, "thread": thread})

    async def diff(self, request: Request) -> Response:
        id = asked.id(request)
        against = Against(asked.choice(request, "against", tuple(Against), default=Against.RUNNING))
        if asked.choice(request, "format", ("text", "json"), default="text") == "text":
            text = await self._hive.approval_diff(id, against=against)
            return _tagged(request, text.encode(errors="replace"), "text/plain")
        changes = await self._hive.approval_changes(id, against=against)
        encoded = await asyncio.to_thread(changes.model_dump_json)
        return _tagged(request, encoded.encode(), "application/json")

    async def approve(self, request: Request) -> Response:
        return await self._decide(request, "approve")

    async def deny(self, request: Request) -> Response:
        return await self._decide(request, "deny")

    async def revise(self, request: Request) -> Response:
        return await self._decide(request, "revise")

    async def withdraw(self, request: Request) -> Response:
        id, _ = asked.id(request), await asked.body(request, Nothing)
        view = await self._hive.withdraw(id, by=OPERATOR)
        return Told(view)

    async def draft(self, request: Request) -> Response:
        new = await asked.body(request, NewDraft)
        view = await self._hive.request_draft(check_name(new.name), by=OPERATOR)
        return Told(view, 201)

    async def discard(self, request: Request) -> Response:
        view = await self._hive.discard_draft(asked.name(request), by=OPERATOR)
        return Told(view)

    async def _decide(self, request: Request, decision: Literal["approve", "deny", "revise"]) -> Response:
        id, given = asked.id(request), await asked.body(request, Note)
        view = await self._hive.decide(id, decision=decision, note=given.note, by=OPERATOR)
        return Told(view)


def _tagged(request: Request, body: bytes, media_type: str) -> Response:
    """``body`` with its tag, or 304 to who has it. What it is compared with may change, so who has it asks."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    known = {part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")}
    if tag in known:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)

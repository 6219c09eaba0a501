"""``GET /history``: what was decided, and the audit trail. Filters and pages live in the address."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.requests import Request

from hyperhive.domain.approvals import APPROVED, State
from hyperhive.domain.names import check_name
from hyperhive.domain.views import ApprovalView
from hyperhive.errors import HiveError, Invalid
from hyperhive.hive import Hive
from hyperhive.web.telling import Told, told

PAGE = 50
"""Entries on one page."""
LOOK = 2_000
"""Decisions that are looked through for one page of a filter."""

DECISIONS: dict[str, tuple[str, Callable[[ApprovalView], bool]]] = {
    "": ("All decisions", lambda _: True),
    "approved": ("Approved", lambda one: one.state in APPROVED),
    "failed": ("Approved, but failed", lambda one: one.state is State.FAILED),
    "denied": ("Denied", lambda one: one.state is State.DENIED),
    "revise": ("Sent back for a revision", lambda one: one.state is State.REVISE),
    "other": (
        "Withdrawn, superseded, expired",
        lambda one: one.state in (State.WITHDRAWN, State.SUPERSEDED, State.EXPIRED),
    ),
}
"""Filters of the decisions: what the address says, what the screen says, what passes."""

TRAIL: dict[str, tuple[str, frozenset[str] | None]] = {
    "": (
        "Decisions, commands and their outcomes",
        frozenset(
            {
                "approval_resolved", "audit", "config_applied", "destroyed", "draft_created", "draft_discarded",
                "question_answered", "rebuilt", "spawned",
            }
        ),
    ),
    "commands": ("Commands of the operator", frozenset({"audit"})),
    "decisions": ("Decisions", frozenset({"approval_resolved", "question_answered"})),
    "configs": ("Configs and builds", frozenset({"config_applied", "rebuilt", "spawned", "mcp_server_failed"})),
    "trouble": (
        "Trouble",
        frozenset({"container_crash", "agent_quarantined", "agent_recovered", "needs_login", "mcp_server_failed"}),
    ),
    "all": ("Everything that happened", None),
}  # fmt: skip
"""Filters of the trail: what the address says, what the screen says, which kinds of event."""


class Asked(NamedTuple):
    """What the address asks for. ``bad``: why the name of an agent in it cannot be one."""

    view: str
    agent: str
    show: str
    before: int | None
    bad: str = ""

    def url(self, **changes: object) -> str:
        """The address of this with ``changes``."""
        now: dict[str, object] = {
            "view": self.view, "agent": self.agent, "show": self.show, "before": self.before
        }  # fmt: skip
        query = {key: value for key, value in (now | changes).items() if value}
        return f"/history?{urlencode(query)}" if query else "/history"


def asked(request: Request) -> Asked:
    """What ``request`` asks for; what makes no sense is left out."""
    query = request.query_params
    view = "trail" if query.get("view") == "trail" else ""
    agent, bad = query.get("agent", "").strip()[:100], ""
    if agent:
        try:
            check_name(agent)
        except Invalid as error:
            bad = error.message
    known: Mapping[str, object] = TRAIL if view else DECISIONS
    show = query.get("show", "")
    before = query.get("before", "")
    number = int(before) if before.isascii() and before.isdigit() and len(before) < 16 else None
    return Asked(view, agent, show if show in known else "", number or None, bad)


async def history(hive: Hive, wanted: Asked, *, approval: int | None = None) -> dict[str, Any]:
    """What the page shows: its entries and where older ones are.

    Args:
        approval: show this one with the others of its thread.
    """
    shown: dict[str, Any] = {
        "asked": wanted,
        "decisions": (),
        "trail": (),
        "older": None,
        "error": wanted.bad,
    }
    if wanted.bad:
        return shown
    try:
        if approval is not None:
            return shown | {"decisions": tuple(reversed(await hive.approval(approval)))}
        if wanted.view:
            return shown | await _trail(hive, wanted)
        return shown | await _decisions(hive, wanted)
    except HiveError as error:
        return shown | {"error": error.message}


async def _decisions(hive: Hive, wanted: Asked) -> dict[str, Any]:
    """A page of decisions; one more is looked for, to know whether there are older ones."""
    passes = DECISIONS[wanted.show][1]
    found: list[ApprovalView] = []
    before, looked = wanted.before, 0
    while len(found) <= PAGE and looked < LOOK:
        some = await hive.decided(before=before, limit=200)
        looked += len(some)
        found += [one for one in some if passes(one) and wanted.agent in ("", one.agent)]
        if len(some) < 200:
            before = None
            break
        before = some[-1].id
    if len(found) > PAGE:
        before = found[PAGE - 1].id
    return {"decisions": tuple(found[:PAGE]), "older": before}


async def _trail(hive: Hive, wanted: Asked) -> dict[str, Any]:
    kinds = TRAIL[wanted.show][1]
    found = await hive.past(before=wanted.before, limit=PAGE + 1, kinds=kinds, agent=wanted.agent or None)
    events: list[dict[str, Any]] = [json.loads(text) for text in found[:PAGE]]
    older = events[-1]["seq"] if len(found) > PAGE else None
    trail: tuple[Told, ...] = tuple(told(event) for event in events)
    return {"trail": trail, "older": older}

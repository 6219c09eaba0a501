"""What the API answers where it is no value of the domain alone; the description is made of it."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ConfigDict, Field

from hyperhive.domain.messages import Message
from hyperhive.domain.turns import TurnItem
from hyperhive.domain.value import Value
from hyperhive.domain.views import ApprovalView, GenerationView, MessageView


class Problem(Value):
    """An error: RFC 9457, with a stable ``code``."""

    type: Literal["about:blank"]
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    code: str


class Health(Value):
    """``GET /healthz``."""

    status: Literal["ok"]


class Envelope(Value):
    """An event: these, and the fields of its kind."""

    model_config = ConfigDict(extra="allow")

    seq: int
    ts: str
    kind: str
    agent: str | None


class Events(Value):
    """``GET /api/events?follow=0``."""

    events: tuple[Envelope, ...]


class Messages(Value):
    """``GET /api/messages``."""

    messages: tuple[MessageView, ...]


class Taken(Value):
    """``POST /api/inbox/take``."""

    messages: tuple[Message, ...]


class Row(Value):
    """A finished turn."""

    agent: str
    turn: int
    started: str
    ended: str
    ok: bool
    outcome: str | None
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_usd: float
    duration_ms: int


class Series(Value):
    """``GET /api/stats``."""

    turns: tuple[Row, ...]


class Items(Value):
    """``GET /api/agents/{name}/turns``."""

    items: tuple[TurnItem, ...]


class Generations(Value):
    """``GET /api/agents/{name}/history``."""

    generations: tuple[GenerationView, ...]


class Approvals(Value):
    """``GET /api/approvals``."""

    approvals: tuple[ApprovalView, ...]


class Thread(Value):
    """``GET /api/approvals/{id}``."""

    approval: ApprovalView
    thread: tuple[ApprovalView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed(ApprovalView):
    """``POST /api/approvals``."""

    supersedes: int | None


class Session(Value):
    """A browser that is logged in."""

    id: str
    opened: str
    used: str
    where: str


class Sessions(Value):
    """``GET`` and ``DELETE /api/sessions``."""

    sessions: tuple[Session, ...]


class Entry(Value):
    """``POST /login``."""

    token: str
    next: str = ""


class Rpc(Value):
    """A message of MCP: JSON-RPC 2.0."""

    model_config = ConfigDict(extra="allow")

    jsonrpc: Literal["2.0"]
    id: int | str | None = None
    method: str
    params: dict[str, Any] = {}


class RpcError(Value):
    """What MCP refuses a message with."""

    jsonrpc: Literal["2.0"]
    id: int | str | None
    error: dict[str, Any]

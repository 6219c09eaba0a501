"""The port to Claude Code: one process that is asked, and what happens while it works."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from hyperhive.domain.turns import TurnState, TurnUsage


@dataclass(frozen=True, slots=True)
class Began:
    """Claude took a prompt. ``unavailable``: the status of the hive's own MCP server, if it is not connected."""

    session: str
    unavailable: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class McpServer:
    """An MCP server of Claude's. ``status``: ``connected``, ``pending``, ``failed`` …; ``why`` it failed."""

    name: str
    status: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Noted:
    """Something to show: the type, text and data of a turn item."""

    type: str
    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Phase:
    """What it is doing now, where that is not plain thinking."""

    state: TurnState
    note: str = ""


@dataclass(frozen=True, slots=True)
class ApiError:
    """The API refused a request for good; ``kind`` is Claude Code's word for it, ``rate_limit`` and such."""

    kind: str


@dataclass(frozen=True, slots=True)
class Limited:
    """The login is over its limit until ``resets_at``, where that is known."""

    resets_at: datetime | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The prompt was worked on to its end.

    Args:
        ok: whether it ended well.
        status: HTTP status of the API error that ended it.
        reason: Claude Code's own word for the end, ``error_during_execution``, ``api_error``.
        text: the final answer, or what went wrong.
        total_cost: US dollars of this session or process so far.
        usage: tokens and duration; its cost is not filled in.
    """

    ok: bool
    status: int | None = None
    reason: str = ""
    text: str = ""
    session: str | None = None
    total_cost: float = 0.0
    usage: TurnUsage = field(default_factory=TurnUsage)


@dataclass(frozen=True, slots=True)
class Context:
    """How many tokens the conversation has, as of the last request."""

    tokens: int


@dataclass(frozen=True, slots=True)
class NotCompacted:
    """The session could not be compacted."""

    why: str


Happening = Began | Noted | Phase | ApiError | Limited | Context | NotCompacted | Ended


class ClaudeFailed(Exception):
    """Claude Code did not start; the message is one sentence."""


class NotProvided(ClaudeFailed):
    """It was not even tried: something that the operator provides cannot be used."""


class ClaudeDied(Exception):
    """The process ended while it was asked something; the message says how."""


class Claude(Protocol):
    """One Claude Code process. A new one is made for every start."""

    @property
    def alive(self) -> bool:
        """Whether the process runs."""

    @property
    def pid(self) -> int | None:
        """The process, once it was started."""

    async def start(self, *, session: str | None, env: Mapping[str, str]) -> bool:
        """Start the process.

        Args:
            session: the session to go on with; one that is not known any more begins a new one.
            env: what it gets besides the harness's own environment.

        Returns:
            Whether it goes on with ``session``.

        Raises:
            ClaudeFailed: it did not start.
        """

    def ask(self, prompt: str, *, command: bool = False) -> AsyncIterator[Happening]:
        """Hand over a prompt; what happens until ``Ended``, which comes last.

        Args:
            prompt: taken as written.
            command: it is a command of Claude Code's, ``/compact``, and not text.

        Raises:
            ClaudeDied: the process ended first.
        """

    async def interrupt(self) -> None:
        """Ask it to end the prompt under way. Never raises; whether it worked shows in ``ask``."""

    async def reconnect_hive(self) -> None:
        """Connect the hive's MCP server again. Never raises."""

    async def servers(self) -> tuple[McpServer, ...] | None:
        """Its MCP servers as of now; ``None`` where it does not say. Never raises."""

    def terminate(self) -> None:
        """SIGTERM."""

    def kill(self) -> None:
        """SIGKILL to the process and its group."""

    async def close(self, *, grace: float = 2.0) -> None:
        """End it: end of its input, after ``grace`` seconds a kill. Returns when it is gone."""

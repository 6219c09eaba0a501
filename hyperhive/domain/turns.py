"""Turns: one wake-up of an agent, from the message that woke it to Claude's final answer."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from hyperhive.domain.plain import Plain


class TurnState(StrEnum):
    """What an agent's turn loop is doing."""

    IDLE = "idle"
    THINKING = "thinking"
    COMPACTING = "compacting"
    WAITING = "waiting"
    RATE_LIMITED = "rate-limited"
    OFFLINE = "offline"


class Outcome(StrEnum):
    """How a turn ended.

    ``done`` acknowledges its messages. All others put them back; ``failed``, ``deadline`` and ``lost`` (the
    container or harness ended in it) count as an attempt, the others wait for what is missing.
    """

    DONE = "done"
    FAILED = "failed"
    DEADLINE = "deadline"
    INTERRUPTED = "interrupted"
    RATE_LIMITED = "rate-limited"
    LOGIN = "login"
    OFFLINE = "offline"
    LOST = "lost"


COUNTED = frozenset({Outcome.FAILED, Outcome.DEADLINE, Outcome.LOST})
"""Outcomes that count as an attempt at delivering a message."""

MAX_ITEM = 16 * 1024
"""Bytes of one turn event's text; longer ones are cut, with a mark."""
MAX_ITEMS_PER_TURN = 2_000
"""Turn events kept of one turn; beyond it they are counted, not kept."""
MAX_TURNS_KEPT = 200
"""Turns of an agent whose events are kept."""
MAX_AGENT_BYTES = 64 * 1024 * 1024
"""Bytes of turn events kept of one agent's finished turns; beyond it those of the oldest go."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TurnItem(Plain):
    """One thing that happened in a turn.

    ``type``: ``prompt``, ``text``, ``thinking``, ``tool_use``, ``tool_result``, ``retry``, ``trouble``,
    ``compact``, ``result``, ``elided``. ``data`` holds what the type needs beside its text: the tool's name
    and call id, token counts, attempt numbers.
    """

    id: int = 0
    turn: int
    ts: datetime
    type: str
    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TurnUsage(Plain):
    """What a turn used: tokens, and US dollars where the model's price is known."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0
    duration_ms: int = 0

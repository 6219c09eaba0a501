"""What passes between the daemon and a harness over ``hive.sock``: one JSON object a line, both ways.

The harness connects and says ``hello``; the host answers ``welcome``. Reports carry ``n``, counting from 1 in
one life of the harness (``boot``); the host acknowledges what it has dealt with, the harness sends again what was
not acknowledged, the host drops what it had already. Turn items are the exception: unnumbered, best effort.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from hyperhive.domain.turns import Outcome, TurnItem, TurnState, TurnUsage
from hyperhive.domain.value import Value

PROTOCOL = 1
MAX_LINE = 4 * 1024 * 1024
"""Bytes of one line; a longer one ends the connection."""


# ---- harness → host


class Hello(Value):
    """First line of a connection. ``turn``: the turn it is working on, if any; ``working`` on a reconnect."""

    type: Literal["hello"] = "hello"
    protocol: int = PROTOCOL
    boot: str = Field(max_length=64)
    version: str = Field(max_length=64)
    claude: str = Field(default="", max_length=200)
    turn: int | None = None


class TurnBegan(Value):
    """Claude took the messages of ``turn``. ``session`` is Claude Code's session id."""

    type: Literal["turn_began"] = "turn_began"
    turn: int
    session: str | None = Field(default=None, max_length=128)


class TurnOver(Value):
    """A turn ended. ``resets_at``: when a rate limit resets; ``note``: one sentence where it went wrong."""

    type: Literal["turn_over"] = "turn_over"
    turn: int
    outcome: Outcome
    note: str = Field(default="", max_length=2_000)
    resets_at: datetime | None = None
    session: str | None = Field(default=None, max_length=128)
    usage: TurnUsage = TurnUsage()


class StateChanged(Value):
    """The turn loop's state changed within a turn (compacting, waiting for the API …)."""

    type: Literal["state"] = "state"
    state: TurnState
    note: str = Field(default="", max_length=2_000)


class Trouble(Value):
    """Something the operator should see on the agent: an MCP server that did not start, a full disk."""

    type: Literal["trouble"] = "trouble"
    note: str = Field(max_length=2_000)


class McpServers(Value):
    """Which of the config's MCP servers did not start, and why; those not named run."""

    type: Literal["mcp_servers"] = "mcp_servers"
    failed: dict[str, str] = Field(default={}, max_length=64)


Report = Annotated[TurnBegan | TurnOver | StateChanged | Trouble | McpServers, Field(discriminator="type")]


class Numbered(Value):
    """A report that is sent again until it is acknowledged."""

    type: Literal["report"] = "report"
    n: int = Field(ge=1)
    report: Report


class Items(Value):
    """Turn events, best effort."""

    type: Literal["items"] = "items"
    items: tuple[TurnItem, ...] = Field(max_length=200)


class Pong(Value):
    """The answer to a ping."""

    type: Literal["pong"] = "pong"
    id: int


FromHarness = Annotated[Hello | Numbered | Items | Pong, Field(discriminator="type")]
FROM_HARNESS: TypeAdapter[FromHarness] = TypeAdapter(FromHarness)


# ---- host → harness


class Incoming(Value):
    """A message as the harness sees it."""

    id: int
    sender: str
    body: str
    ts: datetime


class Welcome(Value):
    """The answer to hello. ``env`` is for Claude alone: credentials and where its API is.

    ``acked``: the last report of this boot that was dealt with. ``turn``: the turn that the host believes is
    under way; a harness that does not work on it reports it as lost, one that works on another stops that.
    """

    type: Literal["welcome"] = "welcome"
    agent: str
    role: Literal["manager", "agent"]
    peers: tuple[str, ...] = ()
    env: dict[str, str] = {}
    rehearsal: bool = False
    session: str | None = None
    acked: int = 0
    turn: int | None = None


class Work(Value):
    """Messages to work on in one turn."""

    type: Literal["work"] = "work"
    turn: int
    messages: tuple[Incoming, ...]
    peers: tuple[str, ...] = ()


class Ack(Value):
    """All reports up to ``n`` are dealt with."""

    type: Literal["ack"] = "ack"
    n: int


class Interrupt(Value):
    """End the running turn."""

    type: Literal["interrupt"] = "interrupt"
    turn: int


class Compact(Value):
    """Compact the session when idle."""

    type: Literal["compact"] = "compact"


class Ping(Value):
    """Are you there?"""

    type: Literal["ping"] = "ping"
    id: int


FromHost = Annotated[Welcome | Work | Ack | Interrupt | Compact | Ping, Field(discriminator="type")]
FROM_HOST: TypeAdapter[FromHost] = TypeAdapter(FromHost)

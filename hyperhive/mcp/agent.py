"""The surface of every agent: send, recv, ask_operator, whoami. The caller is bound here and nowhere else."""

from typing import Annotated, Any, Literal

import anyio
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from hyperhive.domain.messages import MAX_BATCH, MAX_WAIT, Message, check_body
from hyperhive.domain.names import OPERATOR, check_name
from hyperhive.errors import Gone, Invalid
from hyperhive.hive import Hive
from hyperhive.mcp.departure import SCOPE_KEY, Departure
from hyperhive.mcp.resources import own_resources
from hyperhive.mcp.results import Asked, Letter, Me, Received, Sent
from hyperhive.mcp.server import HiveServer
from hyperhive.mcp.toolbox import tool, tools_of

MAX_OPTIONS = 16
"""Answers that a question may offer."""
MAX_OPTION = 200
"""Characters of one of them."""
MAX_TTL = 30 * 86400.0
"""Seconds that a question may stay open at most."""

_INSTRUCTIONS = "Your inbox, the other agents and the operator. A refusal says in one sentence what to do."

Recipient = Annotated[str, Field(description="An agent's name, or 'operator'.")]
Option = Annotated[str, Field(min_length=1, max_length=MAX_OPTION)]


class Messaging:
    """What every caller may do: write, read, and know who it is.

    Args:
        caller: the agent, or the operator, that this surface acts as.
    """

    def __init__(self, *, hive: Hive, caller: str, role: Literal["agent", "manager", "operator"]) -> None:
        self._hive = hive
        self._caller = caller
        self._role = role

    @tool("Send a message")
    async def send(
        self, to: Recipient, body: Annotated[str, Field(description="Text, at most 64 KiB.")]
    ) -> Sent:
        """Send a message to another agent or to the operator. It is kept until it is read."""
        if to != OPERATOR:
            check_name(to)
        message = await self._hive.send(sender=self._caller, to=to, body=check_body(body))
        return Sent(id=message.id, to=message.to)

    @tool("Read your inbox")
    async def recv(
        self,
        ctx: Context,
        wait_seconds: Annotated[
            float,
            Field(ge=0, le=MAX_WAIT, allow_inf_nan=False, description="0 returns at once; at most 180."),
        ] = 0,
        max: Annotated[int, Field(ge=1, le=MAX_BATCH, description="Messages to take at most.")] = 1,
    ) -> Received:
        """Take unread messages from your inbox, oldest first; with wait_seconds wait for the first one."""
        messages = await self._take(ctx, wait=wait_seconds, limit=max)
        return Received(messages=tuple(Letter.of(message) for message in messages))

    async def _take(self, ctx: Context, *, wait: float, limit: int) -> tuple[Message, ...]:
        """Receive, unless the client is gone: nobody would read what is taken then."""
        departure = _departure(ctx)
        if departure is None:
            return await self._hive.recv(self._caller, wait=wait, limit=limit)
        with anyio.CancelScope() as scope, departure.calling(scope.cancel):
            return await self._hive.recv(self._caller, wait=wait, limit=limit)
        raise ToolError("The connection ended while waiting; nothing was taken.")

    @tool("Who am I", reads=True, idempotent=True)
    async def whoami(self) -> Me:
        """Your name, your role, and how many messages wait unread in your inbox."""
        seen = self._hive.snapshot()
        if self._role == OPERATOR:
            unread = sum(message.state == "unread" for message in seen.inbox)
        else:
            agent = seen.agent(self._caller)
            if agent is None:
                raise Gone(f"There is no agent '{self._caller}' any more; end your turn.")
            unread = agent.inbox_depth
        return Me(name=self._caller, role=self._role, hive=seen.hive.name, unread=unread)


class Asking(Messaging):
    """What every agent may do besides: ask the operator."""

    @tool("Ask the operator")
    async def ask_operator(
        self,
        question: Annotated[
            str, Field(max_length=8_192, description="What you need to know or have decided.")
        ],
        options: Annotated[
            list[Option],
            Field(max_length=MAX_OPTIONS, description="Answers to choose from; none: free text."),
        ] = [],  # noqa: B006 - pydantic copies defaults, and the schema shows this one
        multi: Annotated[bool, Field(description="Whether several options may be chosen.")] = False,
        ttl_seconds: Annotated[
            float | None,
            Field(ge=1, le=MAX_TTL, allow_inf_nan=False, description="Close it unanswered after so long."),
        ] = None,
    ) -> Asked:
        """Ask the human operator. Returns at once; the answer comes later, as a message to your inbox."""
        for text in (question, *options):
            check_body(text)
        if multi and not options:
            raise Invalid("Several can only be chosen from options; name them, or leave multi out.")
        asked = await self._hive.ask(
            self._caller, question=question, options=tuple(options), multi=multi, ttl=ttl_seconds
        )
        return Asked.of(asked)


def agent_server(*, hive: Hive, name: str) -> HiveServer:
    """The server on the socket of agent ``name``: it acts as that agent, whatever arguments say.

    Raises:
        Invalid: when ``name`` cannot name an agent.
    """
    caller = check_name(name)
    surface = Asking(hive=hive, caller=caller, role="agent")
    return HiveServer(
        instructions=_INSTRUCTIONS, tools=tools_of(surface), resources=own_resources(hive, caller)
    )


def _departure(ctx: Context) -> Departure | None:
    request: Any = ctx.request_context.request
    found = None if request is None else request.scope.get(SCOPE_KEY)
    return found if isinstance(found, Departure) else None

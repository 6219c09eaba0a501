"""The manager's surface: every agent's, and the fleet. The operator's clients reach it as the operator."""

from typing import Annotated, Literal

from mcp_types import CallToolResult
from pydantic import Field

from hyperhive.domain.names import MANAGER, OPERATOR, check_name
from hyperhive.errors import Refused
from hyperhive.hive import Action, Hive
from hyperhive.mcp.agent import Asking, Messaging
from hyperhive.mcp.listing import Listing
from hyperhive.mcp.proposals import Proposing
from hyperhive.mcp.resources import fleet_resources
from hyperhive.mcp.results import Agents, Log, Operation
from hyperhive.mcp.server import HiveServer
from hyperhive.mcp.toolbox import tool, tools_of

MAX_LINES = 1_000
"""Lines of a log that one call may ask for."""
MAX_LOG = 64 * 1024
"""Characters of a log in one answer; it is the end that is kept."""
OPERATION_WAIT = 60.0
"""Seconds that start, stop and restart wait for their outcome."""
UPDATE_WAIT = 120.0
"""Seconds that update waits for its outcome."""

_INSTRUCTIONS = (
    "Run the fleet: see its agents, start, stop, restart and rebuild them, read their logs, ask the operator for "
    "new ones and for other configs, and exchange messages. A refusal says in one sentence what to do."
)

AgentArgument = Annotated[str, Field(description="An agent's name.")]


class Fleet(Messaging):
    """What the manager may do to the agents there are."""

    def __init__(self, *, hive: Hive, caller: str, role: Literal["agent", "manager", "operator"]) -> None:
        super().__init__(hive=hive, caller=caller, role=role)
        self._listing = Listing()

    @tool("List the agents", reads=True, idempotent=True)
    async def list_agents(self) -> Annotated[CallToolResult, Agents]:
        """All agents: container, login and revision of each, what is under way, and what troubles it."""
        return self._listing.answer(self._hive.snapshot().agents)

    @tool("Start an agent", idempotent=True)
    async def start(self, name: AgentArgument) -> Operation:
        """Start an agent's container and report how that went; one that runs already is left alone."""
        return await self._operate(Action.START, name, wait=OPERATION_WAIT)

    @tool("Stop an agent", idempotent=True, destructive=True)
    async def stop(self, name: AgentArgument) -> Operation:
        """Stop an agent's container, ending the turn it is in. Its files and messages are kept."""
        return await self._operate(Action.STOP, name, wait=OPERATION_WAIT)

    @tool("Restart an agent", destructive=True)
    async def restart(self, name: AgentArgument) -> Operation:
        """Stop an agent's container and start it again, ending the turn it is in."""
        return await self._operate(Action.RESTART, name, wait=OPERATION_WAIT)

    @tool("Rebuild an agent", idempotent=True, destructive=True)
    async def update(self, name: AgentArgument) -> Operation:
        """Rebuild an agent from its applied config and this hyperhive, and report how that went."""
        return await self._operate(Action.UPDATE, name, wait=UPDATE_WAIT)

    @tool("Read an agent's log", reads=True, idempotent=True)
    async def get_logs(
        self,
        name: AgentArgument,
        lines: Annotated[int, Field(ge=1, le=MAX_LINES, description="How many of the last lines.")] = 100,
    ) -> Log:
        """The last lines of the log of an agent's container."""
        text = await self._hive.logs(check_name(name), lines=lines)
        return Log(agent=name, text=text[-MAX_LOG:], cut=len(text) > MAX_LOG)

    async def _operate(self, action: Action, name: str, *, wait: float) -> Operation:
        if check_name(name) == self._caller:
            raise Refused(
                f"You cannot {action.value} yourself; the operator does that: ask with ask_operator.",
                code="not-itself",
            )
        return Operation.of(await self._hive.operate(action, name, by=self._caller, wait=wait))


class ManagerSurface(Proposing, Fleet, Asking):
    """All of the manager's tools."""


class OperatorSurface(Proposing, Fleet):
    """The same for the operator's clients, who have nobody to ask."""


def manager_server(*, hive: Hive, name: str = MANAGER) -> HiveServer:
    """The server on the manager's socket.

    Raises:
        Invalid: when ``name`` cannot name an agent.
    """
    surface = ManagerSurface(hive=hive, caller=check_name(name), role="manager")
    return HiveServer(instructions=_INSTRUCTIONS, tools=tools_of(surface), resources=fleet_resources(hive))


def operator_server(*, hive: Hive) -> HiveServer:
    """The manager's surface for the operator's own clients; what it does is the operator's."""
    surface = OperatorSurface(hive=hive, caller=OPERATOR, role="operator")
    return HiveServer(instructions=_INSTRUCTIONS, tools=tools_of(surface), resources=fleet_resources(hive))

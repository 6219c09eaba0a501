"""What can be read and subscribed to: the agents and the last events, as JSON."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp_types import Resource, ResourceTemplate

from hyperhive.domain.plain import as_json
from hyperhive.hive import Hive

AGENTS = "hive://agents"
EVENTS = "hive://events"
MAX_EVENTS = 100
"""Envelopes in ``hive://events``."""
MIME = "application/json"


def agent_uri(name: str) -> str:
    """The resource of agent ``name``."""
    return f"{AGENTS}/{name}"


@dataclass(frozen=True, slots=True)
class Resources:
    """What one surface offers to read.

    Args:
        list: the resources as of now.
        read: the JSON of one; raises ``ResourceNotFoundError``.
        changed: which of them change when these agents' views have changed.
        templates: patterns of further ones.
    """

    hive: Hive
    list: Callable[[], list[Resource]]
    read: Callable[[str], Awaitable[str]]
    changed: Callable[[frozenset[str]], Iterable[str]]
    templates: tuple[ResourceTemplate, ...] = ()


def own_resources(hive: Hive, name: str) -> Resources:
    """An agent's: itself, and nobody else."""
    own = agent_uri(name)

    async def read(uri: str) -> str:
        if uri != own:
            raise ResourceNotFoundError(f"There is no such resource here; there is {own}.")
        return _agent(hive, name)

    return Resources(
        hive=hive,
        list=lambda: [_described(own, name, "You, as the hive sees you.")],
        read=read,
        changed=lambda names: (own,) if name in names else (),
    )


def fleet_resources(hive: Hive) -> Resources:
    """The manager's and the operator's: all agents, each agent, the last events."""

    async def read(uri: str) -> str:
        match uri:
            case "hive://agents":
                return as_json(hive.snapshot().agents)
            case "hive://events":
                after = max(0, hive.snapshot().seq - MAX_EVENTS)
                return f"[{','.join(await hive.events(after=after, limit=MAX_EVENTS))}]"
            case _ if uri.startswith(f"{AGENTS}/"):
                return _agent(hive, uri.removeprefix(f"{AGENTS}/"))
            case _:
                raise ResourceNotFoundError(f"There is no such resource; there are {AGENTS} and {EVENTS}.")

    def listed() -> list[Resource]:
        return [
            _described(AGENTS, "agents", "All agents."),
            _described(EVENTS, "events", f"The last {MAX_EVENTS} events, oldest first."),
            *(_described(agent_uri(a.name), a.name, "One agent.") for a in hive.snapshot().agents),
        ]

    template = ResourceTemplate(
        uri_template=f"{AGENTS}/{{name}}", name="agent", description="One agent.", mime_type=MIME
    )
    return Resources(
        hive=hive,
        list=listed,
        read=read,
        changed=lambda names: (AGENTS, EVENTS, *map(agent_uri, sorted(names))),
        templates=(template,),
    )


def _agent(hive: Hive, name: str) -> str:
    agent = hive.snapshot().agent(name)
    if agent is None:
        raise ResourceNotFoundError(f"There is no such agent; {AGENTS} lists those there are.")
    return as_json(agent)


def _described(uri: str, name: str, description: str) -> Resource:
    return Resource(uri=uri, name=name, description=description, mime_type=MIME)

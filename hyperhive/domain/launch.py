"""What a generation hands to the harness: ``launch.json``, written by the daemon, read inside the container."""

from typing import Literal

from pydantic import Field

from hyperhive.domain.agent_config import AgentConfig, ExtraMcpServer
from hyperhive.domain.value import Value

BUILTIN_TOOLS = ("Bash", "Read", "Write", "Edit", "Glob", "Grep", "TodoWrite", "WebFetch", "WebSearch")
"""Claude Code's own tools an agent has. None of them starts a turn by itself."""


class Launch(Value):
    """Everything a harness needs to know before it says hello. Paths are as seen inside the container.

    Args:
        generation: number of the rebuild this belongs to.
        claude: path of the Claude Code binary; ``None``: the one in the claude-agent-sdk wheel.
        hive_sock, mcp_sock: the agent's two sockets.
        state, claude_dir, records: the agent's folders: its own, ``CLAUDE_CONFIG_DIR``, the harness's.
        agents: the manager's folder of all agents' ``config`` and ``state``; ``None`` for the others.
        environment: file of the operator's with variables for Claude and what it starts, one ``KEY=value`` a line.
        prompt: text of the config's ``prompt.md``, appended to the system prompt.
        tools: the built-in tools that exist for this agent.
        allowed: Claude Code's permission rules (``--allowedTools``); what is not named is denied.
        turn_deadline: seconds one turn may take before it is interrupted, then ended.
        warm: seconds an idle Claude process is kept.
        api_retries: how often Claude Code itself tries again before a turn is given up.
    """

    generation: int
    agent: str
    role: Literal["manager", "agent"]
    model: str
    claude: str | None = None
    hive_sock: str
    mcp_sock: str
    state: str
    claude_dir: str
    records: str
    agents: str | None = None
    environment: str | None = None
    prompt: str = ""
    tools: tuple[str, ...] = BUILTIN_TOOLS
    allowed: tuple[str, ...] = ()
    extra_mcp_servers: dict[str, ExtraMcpServer] = {}
    turn_deadline: float = Field(default=1800.0, gt=0)
    warm: float = Field(default=20.0, ge=0)
    api_retries: int = Field(default=4, ge=0, le=20)
    notes_compact_kib: int = 64


def permission_rules(config: AgentConfig) -> tuple[str, ...]:
    """Claude Code's permission rules for a config: every built-in tool, Bash as the config narrows it."""
    bash = ("Bash",) if config.bash.allow is None else tuple(f"Bash({rule})" for rule in config.bash.allow)
    others = tuple(tool for tool in BUILTIN_TOOLS if tool != "Bash")
    extra = tuple(
        rule
        for name, server in sorted(config.extraMcpServers.items())
        for rule in (
            (f"mcp__{name}",)
            if server.allowedTools is None
            else tuple(f"mcp__{name}__{tool}" for tool in server.allowedTools)
        )
    )
    return (*bash, *others, "mcp__hyperhive", *extra)

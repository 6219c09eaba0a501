"""How Claude Code is started: its arguments, environment and MCP servers."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyperhive.domain.environment import MAX_ENVIRONMENT, parse
from hyperhive.domain.launch import Launch
from hyperhive.domain.records import CONTAINER_MARK
from hyperhive.errors import Invalid
from hyperhive.harness import records

PUMP = Path(__file__).with_name("pump.py")

QUIET = {
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_AUTO_COMPACT": "1",  # compaction is the hive's decision
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",  # what works on its own would start turns on its own
    "CLAUDE_CODE_DISABLE_CRON": "1",
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    "CLAUDE_CODE_DISABLE_FILE_CHECKPOINTING": "1",
    "CLAUDE_CODE_DISABLE_TERMINAL_TITLE": "1",
    "CLAUDE_CODE_DISABLE_FEEDBACK_SURVEY": "1",
    "CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL": "1",
    "MCP_TIMEOUT": "30000",
    "CLAUDE_CODE_MCP_STARTUP_WAIT_MS": "10000",  # a server that hangs holds a first turn up no longer
    "MCP_TOOL_TIMEOUT": "600000",  # a recv waits up to 180 s
}


def arguments(
    launch: Launch, *, claude: str, prompt: str, mcp_config: Path, session: str | None
) -> list[str]:
    """The command line.

    Args:
        claude: the binary.
        prompt: what is appended to Claude Code's own system prompt.
        mcp_config: a file with ``mcp_servers``.
        session: the session to go on with.
    """
    line = [claude, "--output-format", "stream-json", "--input-format", "stream-json", "--verbose"]
    line += ["--model", launch.model, "--append-system-prompt", prompt]
    line += ["--tools", ",".join(launch.tools), "--allowedTools", ",".join(launch.allowed)]
    line += ["--permission-mode", "dontAsk", "--setting-sources="]
    line += ["--mcp-config", str(mcp_config), "--strict-mcp-config"]
    if launch.agents is not None:
        line += ["--add-dir", launch.agents]
    if session is not None:
        line.append(f"--resume={session}")
    return line


def provided(file: Path) -> dict[str, str]:
    """The variables in a file of the operator's.

    Raises:
        Invalid: it cannot be read, or holds what it may not; names no value.
    """
    try:
        raw = records.read(file, limit=MAX_ENVIRONMENT + 1)
    except OSError as error:
        reason = error.strerror or "it is no file"
        raise Invalid(f"the environment file cannot be read: {reason}.") from None
    return parse(raw.decode(errors="replace"), file="the environment file")


def environment(
    launch: Launch, *, own: Mapping[str, str], given: Mapping[str, str], provided: Mapping[str, str]
) -> dict[str, str]:
    """Claude's environment: the harness's ``own``, what the operator ``provided``, what the host has ``given``,
    and ours over all of them.

    What is only for the harness's Python stays out of the agent's, the container's mark stays in. Where the host
    says which API is asked, nothing that was provided may lead elsewhere.
    """
    fixed = "ANTHROPIC_BASE_URL" in given
    kept = {
        key: value
        for key, value in own.items()
        if key == CONTAINER_MARK or not (key == "CLAUDECODE" or key.startswith(("HYPERHIVE_", "PYTHON")))
    }
    return {
        **kept,
        **{key: value for key, value in provided.items() if not (fixed and _leads_elsewhere(key))},
        **given,
        **QUIET,
        "CLAUDE_CODE_MAX_RETRIES": str(launch.api_retries),
        "CLAUDE_CONFIG_DIR": launch.claude_dir,
        "PWD": launch.state,
        **({"HYPERHIVE_AGENTS": launch.agents} if launch.agents is not None else {}),
    }


def _leads_elsewhere(name: str) -> bool:
    """Whether a variable chooses another API, another login or a way there."""
    upper = name.upper()
    return upper.startswith(("ANTHROPIC_", "CLAUDE_")) or upper.endswith("_PROXY")


def mcp_servers(launch: Launch) -> dict[str, Any]:
    """The content of the MCP config file: the hive's own server and the agent's extra ones."""
    servers: dict[str, Any] = {
        name: {"type": "stdio", "command": server.command, "args": list(server.args), "env": dict(server.env)}
        for name, server in launch.extra_mcp_servers.items()
    }
    servers["hyperhive"] = {
        "type": "stdio",
        "command": sys.executable,
        "args": ["-I", "-S", str(PUMP), launch.mcp_sock],
        "alwaysLoad": True,  # otherwise its tools hide behind a search
    }
    return {"mcpServers": servers}

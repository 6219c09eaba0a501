"""An agent's config, ``agent.toml``: parsed, checked, and refused with file, key and reason."""

import tomllib
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from hyperhive.domain.names import AgentName
from hyperhive.domain.value import Value
from hyperhive.errors import Invalid

MAX_CONFIG = 64 * 1024
"""Bytes of one ``agent.toml``."""

_ServerName = Annotated[str, Field(pattern=r"^[a-zA-Z][a-zA-Z0-9_-]{0,31}$")]


class Bash(Value):
    """Which commands the Bash tool may run; absent: any."""

    allow: tuple[str, ...] | None = None


class ExtraMcpServer(Value):
    """An MCP server started inside the container."""

    command: str = Field(min_length=1)
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    allowedTools: tuple[str, ...] | None = None  # noqa: N815 - the file's own spelling


class Limits(Value):
    """What the container may use."""

    memory: str | None = Field(default=None, pattern=r"^[1-9][0-9]*[KMGT]?$")
    cpus: float | None = Field(default=None, gt=0, le=1024)
    tasks: int | None = Field(default=None, ge=16, le=1_000_000)


class Notes(Value):
    """When the agent is asked to compact its notes."""

    compactAboveKiB: int = Field(default=64, ge=1, le=10_240)  # noqa: N815 - the file's own spelling


class AgentConfig(Value):
    """The whole of ``agent.toml``."""

    model: str = Field(default="sonnet", pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]{0,127}$")
    restart: Literal["on-failure", "never"] = "on-failure"
    allowedRecipients: tuple[AgentName, ...] | None = None  # noqa: N815 - the file's own spelling
    bash: Bash = Bash()
    extraMcpServers: dict[_ServerName, ExtraMcpServer] = {}  # noqa: N815 - the file's own spelling
    limits: Limits = Limits()
    notes: Notes = Notes()


def parse(text: str, *, file: str = "agent.toml") -> AgentConfig:
    """Read a config.

    Args:
        text: the file's content.
        file: its name, for the refusal.

    Raises:
        Invalid: with file, key and reason, one line.
    """
    if len(text.encode(errors="surrogatepass")) > MAX_CONFIG:
        raise Invalid(f"{file}: longer than {MAX_CONFIG} bytes.", code="bad-config")
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Invalid(f"{file}: not TOML: {error}.", code="bad-config") from None
    try:
        config = AgentConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "(file)"
        reason = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        raise Invalid(f"{file}: {key}: {reason}.", code="bad-config") from None
    if "hyperhive" in config.extraMcpServers:
        raise Invalid(f"{file}: extraMcpServers.hyperhive: this name is the hive's own.", code="bad-config")
    return config


DEFAULT = """\
# What this agent is. A change takes effect when the agent is rebuilt.
model = "sonnet"
restart = "on-failure"    # or "never": what follows an unplanned end
"""
"""The config a new agent starts with."""
